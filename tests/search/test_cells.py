"""Supernets: cells that mix or choose, over the same weights."""

import random

import keras
import numpy as np
import pytest
import tiny

from okd_tf.ops import batch_norm
from okd_tf.search import supernet


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
    return supernet.make(backbone, of, supernet.MixedCell)


def _copied(backbone, of, net, synchronized=False):
    """A path supernet of the same weights."""
    path = supernet.make(backbone, of, supernet.PathCell, synchronized)
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
        cell.alpha_op.assign([1e4 if index == op else 0.0 for index in range(len(of.ops))])
        cell.alpha_chain.assign(1e4 if chain else -1e4)
        cell.alpha_feed_back.assign(1e4 if feed_back else -1e4)


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
            architecture = of.sample(generator)
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
        cell.alpha_op.assign(np.log([0.1, 0.2, 0.3, 0.4]))
        cell.alpha_chain.assign(np.log(0.25 / 0.75))
        cell.alpha_feed_back.assign(np.log(0.9 / 0.1))
        operations, chain, feed_back = cell.probabilities()
        np.testing.assert_allclose(operations, [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
        # Where nothing precedes, the chain is never there.
        assert float(chain) == pytest.approx(0.25 if chainable else 0)
        assert float(feed_back) == pytest.approx(0.9)


def test_sharper_cells_multiply_their_alphas(mixed):
    cell = mixed.cells[1]
    cell.alpha_op.assign([0.1, -0.2, 0.3, 0.0])
    cell.alpha_chain.assign(0.5)
    cell.alpha_feed_back.assign(-0.4)
    cell.sharpness.assign(3.0)
    operations, chain, feed_back = (part.numpy() for part in cell.probabilities())
    cell.sharpness.assign(1.0)
    exponentials = np.exp([0.3, -0.6, 0.9, 0.0])
    np.testing.assert_allclose(operations, exponentials / exponentials.sum(), rtol=1e-5)
    assert chain == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert feed_back == pytest.approx(1 / (1 + np.exp(1.2)))


def test_variables_are_alphas_or_shared_or_told_to_the_cells(mixed, path):
    assert len(mixed.alphas()) == 3 * len(mixed.cells)
    assert path.alphas() == []
    for net in (mixed, path):
        alphas, weights, shared = (
            {id(v) for v in part} for part in (net.alphas(), net.weights(), net.shared())
        )
        assert alphas | weights == {id(variable) for variable in net.network.trainable_variables}
        assert not alphas & weights
        told = {id(cell.choice if net is path else cell.sharpness) for cell in net.cells}
        assert shared | alphas | told == {id(variable) for variable in net.network.variables}
        assert not shared & (alphas | told)


def test_batch_norms_are_all_there_are(mixed):
    # Two of the backbone, one of each convolution in each of two cells.
    assert len(mixed.batch_norms()) == 2 + 2 * 2
    moving = [variable for variable in mixed.shared() if "moving" in variable.name]
    assert len(moving) == 2 * len(mixed.batch_norms())


def test_choices_are_canonical_and_say_who_lives(of):
    assert supernet.choices(of, ((1, 1, 0), (2, 1, 1))) == [[1, 0, 0, 1], [2, 1, 1, 1]]
    assert supernet.choices(of, ((1, 0, 0), (2, 1, 0))) == [[0, 0, 0, 0], [0, 0, 0, 0]]
