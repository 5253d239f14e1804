"""Cells that mix or choose, over the same weights."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.ops import batch_norm
from okd_tf.search import cells, supernet


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(0)
    return tiny.make_backbone()


@pytest.fixture(scope="module")
def of(backbone):
    return tiny.make_space(backbone)


@pytest.fixture(scope="module")
def mixed(backbone, of):
    keras.utils.set_random_seed(1)
    return supernet.make(backbone, of, cells.MixedCell)


def _copied(backbone, of, net, synchronized=False, cell=cells.PathCell):
    """Another supernet of the same weights."""
    path = supernet.make(backbone, of, cell, synchronized)
    for mine, theirs in zip(path.shared(), net.shared(), strict=True):
        assert mine.path.split("/")[-2:] == theirs.path.split("/")[-2:]
        mine.assign(theirs)
    return path


@pytest.fixture(scope="module")
def path(backbone, of, mixed):
    return _copied(backbone, of, mixed)


@pytest.fixture
def pixels():
    return tiny.make_examples(6, 5).images.astype(np.float32)


def _set(net, of, architecture):
    """Alphas that leave no doubt: exactly one operation, gates exactly open or shut."""
    for cell, (op, chain, feed_back) in zip(net.cells, architecture, strict=True):
        cell.alphas[0].assign([1e4 if index == op else 0.0 for index in range(len(of.ops))])
        cell.alphas[1].assign(1e4 if chain else -1e4)
        cell.alphas[2].assign(1e4 if feed_back else -1e4)


def _choose(net, of, architecture):
    for cell, row in zip(net.cells, supernet.choices(of, architecture), strict=True):
        cell.choose(row)


@pytest.mark.parametrize("training", [False, True])
def test_a_mixture_without_doubt_is_the_path_of_its_choices(mixed, path, of, pixels, training):
    outputs = []
    for op_1, op_2, chain, feed_1 in ((0, 1, 1, 1), (1, 2, 0, 1), (2, 3, 1, 0), (3, 1, 0, 0)):
        architecture = ((op_1, 0, feed_1), (op_2, chain, 1))
        _set(mixed, of, architecture)
        _choose(path, of, architecture)
        expected = mixed.network(pixels, training=training).numpy()
        found = path.network(pixels, training=training).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        outputs.append(found)
    # The choices are seen in what comes out.
    for index, output in enumerate(outputs):
        assert all(np.max(np.abs(output - other)) > 1e-3 for other in outputs[:index])


def test_dead_layers_contribute_nothing(backbone, of, path, pixels):
    bare = batch_norm.fused_copy(backbone.model)
    shared = {tuple(weight.path.split("/")[-2:]): weight for weight in path.shared()}
    for weight in bare.weights:
        weight.assign(shared[tuple(weight.path.split("/")[-2:])])
    # Neither feeds back; the first is read by the second, which is dead.
    for architecture in (((1, 0, 0), (2, 1, 0)), ((3, 0, 0), (1, 0, 0))):
        _choose(path, of, architecture)
        np.testing.assert_array_equal(path.network(pixels), bare(pixels))
    _choose(path, of, ((1, 0, 1), (0, 0, 0)))
    assert np.any(path.network(pixels).numpy() != bare(pixels).numpy())


def test_a_path_under_synchronized_batch_norm_is_the_same_path(backbone, of, mixed, pixels):
    # Two of its own: the statistics that training moves are not for the other tests.
    branched, masked = (_copied(backbone, of, mixed, synchronized) for synchronized in (False, True))
    # Inference first: statistics of operations that are not chosen move under one of them alone.
    for training in (False, True):
        generator = random.Random(0)
        for _ in range(4):
            architecture = tiny.draw(of, generator)
            for net in (branched, masked):
                _choose(net, of, architecture)
            np.testing.assert_allclose(
                masked.network(pixels, training=training),
                branched.network(pixels, training=training),
                rtol=1e-4,
                atol=1e-4,
            )


def test_cells_tell_the_probabilities_of_their_alphas(mixed):
    for cell, chainable in zip(mixed.cells, (False, True), strict=True):
        cell.alphas[0].assign(np.log([0.1, 0.2, 0.3, 0.4]))
        cell.alphas[1].assign(np.log(0.25 / 0.75))
        cell.alphas[2].assign(np.log(0.9 / 0.1))
        operations, chain, feed_back = cell.probabilities()
        np.testing.assert_allclose(operations, [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
        # Where nothing precedes, the chain is never there.
        assert float(chain) == pytest.approx(0.25 if chainable else 0)
        assert float(feed_back) == pytest.approx(0.9)


def test_sharper_cells_multiply_their_alphas(mixed):
    cell = mixed.cells[1]
    cell.alphas[0].assign([0.1, -0.2, 0.3, 0.0])
    cell.alphas[1].assign(0.5)
    cell.alphas[2].assign(-0.4)
    cell.sharpness.assign(3.0)
    operations, chain, feed_back = (part.numpy() for part in cell.probabilities())
    cell.sharpness.assign(1.0)
    exponentials = np.exp([0.3, -0.6, 0.9, 0.0])
    np.testing.assert_allclose(operations, exponentials / exponentials.sum(), rtol=1e-5)
    assert chain == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert feed_back == pytest.approx(1 / (1 + np.exp(1.2)))


@pytest.fixture
def gumbel(backbone, of):
    """A cell that can chain, with alphas and noise that leave everything open."""
    cell = supernet.make(backbone, of, cells.GumbelCell).cells[1]
    for alpha, value in zip(cell.alphas, ([0.4, -0.3, 0.9, 0.1], 0.3, -0.8), strict=True):
        alpha.assign(value)
    cell.noise.assign([0.5, 2.5, -0.3, 0.2, -0.7, 1.1])
    cell.temperature.assign(0.7)
    return cell


def _softmax(logits):
    exponentials = np.exp(logits - np.max(logits))
    return exponentials / exponentials.sum()


def test_a_sample_is_the_greatest_of_log_probability_and_noise(gumbel):
    assert int(gumbel.sample()[0]) == np.argmax([0.4 + 0.5, -0.3 + 2.5, 0.9 - 0.3, 0.1 + 0.2])
    gumbel.noise.assign([0.0] * 6)
    assert int(gumbel.sample()[0]) == 2
    # The temperature has no say in it.
    gumbel.temperature.assign(100.0)
    assert int(gumbel.sample()[0]) == 2


def test_a_sampled_gate_is_open_where_its_logit_and_noise_are_positive(gumbel):
    for chain_noise, feed_back_noise, expected in (
        (-0.29, 0.81, (1, 1)),
        (-0.31, 0.79, (0, 0)),
        (-0.31, 0.81, (0, 1)),
    ):
        gumbel.noise.assign([0.0] * 4 + [chain_noise, feed_back_noise])
        _, chain, feed_back = gumbel.sample()
        assert (float(chain), float(feed_back)) == expected


def test_samples_are_hard_to_the_bit(gumbel):
    generator = np.random.default_rng(0)
    for temperature in (0.1, 0.7, 5.0):
        gumbel.temperature.assign(temperature)
        for _ in range(100):
            gumbel.noise.assign(generator.gumbel(size=6))
            assert set(gumbel.coefficients().numpy().tolist()) == {1.0}
            _, chain, feed_back = gumbel.sample()
            assert {float(chain), float(feed_back)} <= {0.0, 1.0}


def test_the_gradient_of_a_coefficient_is_that_of_the_softmax_at_the_temperature(gumbel):
    alpha = gumbel.alphas[0].value
    with tf.GradientTape() as tape:
        coefficients = gumbel.coefficients()
    soft = _softmax(np.add([0.4, -0.3, 0.9, 0.1], [0.5, 2.5, -0.3, 0.2]) / 0.7)
    expected = (np.diag(soft) - np.outer(soft, soft)) / 0.7
    np.testing.assert_allclose(tape.jacobian(coefficients, alpha), expected, atol=1e-6)


def test_the_gradient_of_a_gate_is_that_of_the_sigmoid_at_the_temperature(gumbel):
    _, chain_alpha, feed_back_alpha = (alpha.value for alpha in gumbel.alphas)
    with tf.GradientTape(persistent=True) as tape:
        _, chain, feed_back = gumbel.sample()
    for gate, alpha, logit in ((chain, chain_alpha, 0.3 - 0.7), (feed_back, feed_back_alpha, -0.8 + 1.1)):
        soft = 1 / (1 + np.exp(-logit / 0.7))
        assert float(tape.gradient(gate, alpha)) == pytest.approx(soft * (1 - soft) / 0.7, rel=1e-5)


@pytest.mark.parametrize("synchronized", [False, True])
def test_a_sampled_cell_is_the_path_of_its_sample(backbone, of, mixed, pixels, synchronized):
    sampled, path = (
        _copied(backbone, of, mixed, synchronized, cell) for cell in (cells.GumbelCell, cells.PathCell)
    )
    generator = random.Random(1)
    for _ in range(4):
        architecture = tiny.draw(of, generator)
        _set(sampled, of, architecture)
        for cell, row in zip(sampled.cells, supernet.choices(of, architecture), strict=True):
            cell.alive.assign(row[3])
        _choose(path, of, architecture)
        found, expected = (net.network(pixels, training=True).numpy() for net in (sampled, path))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_gate_that_is_shut_still_has_a_gradient_through_a_cell_that_runs(backbone, of, pixels):
    net = supernet.make(backbone, of, cells.GumbelCell)
    alphas = [cell.alphas[2].value for cell in net.cells]
    for cell in net.cells:
        cell.alphas[2].assign(-1.0)
        cell.alphas[0].assign([3.0, 0.0, 0.0, 0.0])
    for alive in (1, 0):
        for cell in net.cells:
            cell.alive.assign(alive)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(net.network(pixels, training=True) ** 2)
        gradients = tape.gradient(loss, alphas)
        assert [bool(np.any(gradient)) for gradient in gradients] == [bool(alive)] * 2
