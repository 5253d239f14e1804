"""Deriving architectures: exactly the most probable ones that fit."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from okd_tf import errors
from okd_tf.arch import space, spec
from okd_tf.search import derive

OPS = ("identity", "conv_3x3", "max_pool_3x3")
BASE = spec.Cost(100, 1000)


def _problem(seed):
    """A small space with random costs, and random distributions over it."""
    generator = np.random.default_rng(seed)
    layers, ops = generator.integers(1, 4), OPS[: generator.integers(2, 4)]
    of = space.SearchSpace(
        attach_points=tuple(f"point{layer}" for layer in range(layers)),
        ops=ops,
        chainable=(False, *(bool(generator.integers(2)) for _ in range(layers - 1))),
        base=BASE,
        op_costs=tuple(
            tuple(spec.Cost(int(generator.integers(0, 6)), int(generator.integers(0, 60))) for _ in ops)
            for _ in range(layers)
        ),
    )
    # Powers give some layers an almost certain choice.
    power = generator.integers(1, 6)
    distributions = []
    for chainable in of.chainable:
        operations = generator.random(len(ops)) ** power
        chain, feed_back = generator.random(2)
        distributions.append((operations / operations.sum(), chain if chainable else 0.0, feed_back))
    return of, distributions, generator


def _enumerated(of, distributions):
    """The probability of every architecture: the sum over all choices that build it."""
    probabilities = {}
    every_choice = list(itertools.product(range(len(of.ops)), (0, 1), (0, 1)))
    for architecture in itertools.product(every_choice, repeat=of.layers):
        probability = 1.0
        for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(architecture, distributions, strict=True):
            probability *= p_op[op]
            probability *= p_chain if chain else 1 - p_chain
            probability *= p_feed if feed_back else 1 - p_feed
        canonical = of.canonical(architecture)
        probabilities[canonical] = probabilities.get(canonical, 0.0) + probability
    return probabilities


@hypothesis.given(
    seed=st.integers(0, 2**32),
    bounds=st.sampled_from([(False, False), (True, False), (False, True), (True, True)]),
    count=st.sampled_from([1, 2, 5, 30]),
)
@hypothesis.settings(max_examples=80)
def test_most_probable_is_what_enumeration_finds(seed, bounds, count):
    of, distributions, generator = _problem(seed)
    budget = spec.Budget(
        BASE.params + int(generator.integers(0, 10)) if bounds[0] else 0,
        BASE.flops + int(generator.integers(0, 100)) if bounds[1] else 0,
    )
    probabilities = {
        architecture: probability
        for architecture, probability in _enumerated(of, distributions).items()
        if budget.admits(of.cost(architecture))
    }
    found = derive.most_probable(of, distributions, budget, count)
    assert len(set(found)) == len(found) == min(count, len(probabilities))
    # None that is not canonical or over the budget: it would not be a key.
    best = sorted(probabilities.values(), reverse=True)[: len(found)]
    np.testing.assert_allclose([probabilities[architecture] for architecture in found], best, rtol=1e-9)


def test_probabilities_of_all_architectures_sum_to_one():
    of, distributions, _ = _problem(1)
    assert sum(_enumerated(of, distributions).values()) == pytest.approx(1)


def test_a_budget_of_the_bare_backbone_leaves_only_what_costs_nothing():
    of, distributions, _ = _problem(7)
    found = derive.most_probable(of, distributions, spec.Budget(BASE.params), 1000)
    assert found
    assert {of.cost(architecture).params for architecture in found} == {BASE.params}


def test_certain_choices_are_derived_as_they_are():
    of = space.SearchSpace(("a", "b"), OPS, (False, True), BASE, ((spec.Cost(1, 1),) * 3,) * 2)
    certain = [(np.array([0.0, 1.0, 0.0]), 0.0, 0.0), (np.array([0.0, 0.0, 1.0]), 1.0, 1.0)]
    assert derive.most_probable(of, certain, spec.Budget(), 1) == [((1, 0, 0), (2, 1, 1))]
    dead = [certain[0], (np.array([0.0, 0.0, 1.0]), 1.0, 0.0)]
    assert derive.most_probable(of, dead, spec.Budget(), 1) == [(space.DEAD, space.DEAD)]


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (spec.Budget(99), "--max_params: 99 is below the bare backbone's own 100"),
        (spec.Budget(0, 999), "--max_flops: 999 is below the bare backbone's own 1000"),
        (spec.Budget(100, 10), "--max_flops: 10 is below"),
    ],
)
def test_a_budget_below_the_bare_backbone_is_refused_by_its_flag(budget, message):
    of, distributions, _ = _problem(0)
    with pytest.raises(errors.UserError, match=message):
        derive.check_budget(of.base, budget)
    with pytest.raises(errors.UserError, match=message):
        derive.most_probable(of, distributions, budget, 1)


def test_a_budget_of_exactly_the_backbone_is_accepted():
    derive.check_budget(_problem(0)[0].base, spec.Budget(BASE.params, BASE.flops))


def test_frequencies_by_hand():
    of = space.SearchSpace(("a", "b"), OPS, (False, True), BASE, ((spec.Cost(1, 1),) * 3,) * 2)
    architectures = [
        ((1, 0, 0), (2, 1, 1)),  # the first lives by being read
        ((2, 0, 1), (0, 0, 1)),
        ((1, 0, 1), (0, 0, 0)),  # the second is dead, and its operation no choice
        ((0, 0, 0), (0, 0, 1)),  # the first is dead
    ]
    first, second = derive.frequencies(of, architectures)
    np.testing.assert_allclose(first[0], [0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(second[0], [2 / 3, 0, 1 / 3])
    assert first[1:] == (0, 2 / 4)
    assert second[1:] == (pytest.approx(1 / 3), 3 / 4)


def test_frequencies_of_a_layer_that_never_lives_say_nothing_of_its_operation():
    of = space.SearchSpace(("a",), OPS, (False,), BASE, ((spec.Cost(1, 1),) * 3,))
    ((operations, chain, feed_back),) = derive.frequencies(of, [(space.DEAD,)] * 2)
    np.testing.assert_allclose(operations, [1 / 3] * 3)
    assert (chain, feed_back) == (0, 0)
