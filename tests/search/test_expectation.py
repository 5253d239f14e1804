"""What a search would choose on average: by enumeration, by hand, and over samples."""

import itertools
import random

import numpy as np
import pytest
import tiny

from okd_tf.arch import space, spec, uniform
from okd_tf.search import expectation


def _distributions(seed=0):
    generator = np.random.default_rng(seed)
    operations = generator.random((3, len(tiny.OPS)))
    gates = generator.random((3, 2))
    gates[0, 0] = 0.0
    return [
        (one / one.sum(), np.float64(chain), np.float64(feed_back))
        for one, (chain, feed_back) in zip(operations, gates, strict=True)
    ]


def _enumerated(of, distributions):
    """(layers, params, flops, living layers of each operation) on average over every draw."""
    mean = np.zeros(3 + len(tiny.OPS))
    every_choice = list(itertools.product(range(len(tiny.OPS)), (0, 1), (0, 1)))
    for architecture in itertools.product(every_choice, repeat=of.layers):
        probability = 1.0
        for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(architecture, distributions, strict=True):
            probability *= p_op[op] * (p_chain if chain else 1 - p_chain)
            probability *= p_feed if feed_back else 1 - p_feed
        if not probability:
            continue
        living = [
            choice[0] for choice, alive in zip(architecture, of.alive(architecture), strict=True) if alive
        ]
        cost = of.cost(architecture)
        by_op = [living.count(op) for op in range(len(tiny.OPS))]
        mean += probability * np.array([len(living), cost.params, cost.flops, *by_op])
    return mean[0], mean[1], mean[2], mean[3:]


def test_expectations_are_the_means_over_all_draws():
    of, distributions = tiny.priced_space(), _distributions()
    layers, params, flops, by_op = _enumerated(of, distributions)
    found = expectation.of_distributions(of, distributions)
    assert found.layers == pytest.approx(layers, rel=1e-5)
    assert found.params == pytest.approx(params, rel=1e-5)
    assert found.flops == pytest.approx(flops, rel=1e-5)
    np.testing.assert_allclose(found.shares, by_op / layers, rtol=1e-5)
    assert found.parameter_free == pytest.approx((by_op[0] + by_op[3]) / layers, rel=1e-5)


def test_entropies_are_those_of_operation_and_gates():
    uniform = (np.full(4, 0.25), np.float64(0.5), np.float64(0.5))
    certain = (np.array([0.0, 1.0, 0.0, 0.0]), np.float64(1.0), np.float64(0.0))
    by_hand = (np.array([0.5, 0.25, 0.25, 0.0]), np.float64(0.0), np.float64(0.2))
    found = expectation.of_distributions(tiny.priced_space(), [uniform, certain, by_hand]).entropies
    expected = [np.log(4) + 2 * np.log(2), 0.0, 1.5 * np.log(2) - 0.2 * np.log(0.2) - 0.8 * np.log(0.8)]
    assert found == pytest.approx(expected)


def test_of_layers_that_never_live_there_are_no_shares():
    dead = (np.full(4, 0.25), np.float64(0.0), np.float64(0.0))
    found = expectation.of_distributions(tiny.priced_space(), [dead] * 3)
    assert (found.layers, found.params, found.flops, found.parameter_free) == (0, 1000, 5000, 0)
    assert not np.any(found.shares)


def test_samples_are_averaged_as_they_are_though_their_choices_depend_on_each_other():
    """Two architectures, one that chains through all layers and the bare backbone."""
    of = tiny.priced_space()
    chained = ((1, 0, 0), (2, 1, 0), (1, 1, 1))
    found = expectation.of_samples(of, [chained, (space.DEAD,) * 3])
    assert found.layers == 1.5
    assert found.params == 1000 + (90 + 30 * 2 + 90 * 3) / 2
    assert found.flops == np.mean([of.cost(chained).flops, 5000])
    np.testing.assert_allclose(found.shares, [0, 2 / 3, 1 / 3, 0])
    assert found.parameter_free == 0


def test_expected_parameters_of_uniform_samples_are_their_mean():
    of = tiny.priced_space()
    sampler, generator = uniform.UniformSampler(of, spec.Budget(max_params=1200)), random.Random(0)
    drawn = [sampler.sample(generator) for _ in range(300)]
    found = expectation.of_samples(of, drawn)
    assert found.params == pytest.approx(np.mean([of.cost(architecture).params for architecture in drawn]))
    assert found.layers == pytest.approx(np.mean([sum(of.alive(architecture)) for architecture in drawn]))
