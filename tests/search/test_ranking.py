"""Ranking: a path of the supernet is the student that would be built of it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import backbones
from okd_tf.arch import build, cost, space, spec
from okd_tf.search import cells, ranking, supernet
from okd_tf.training import inference

DATA = tiny.make_splits()
ARGUMENTS = ("resnet8", 2, tiny.SHAPE, tiny.CLASSES, DATA.mean, DATA.std)


@pytest.fixture(scope="module")
def searched():
    """(backbone, space, supernet) with weights and statistics unlike those at the start."""
    keras.utils.set_random_seed(0)
    backbone = backbones.build(*ARGUMENTS)
    of = space.SearchSpace.around(backbone)
    net = supernet.make(backbone, of, cells.MixedCell)
    generator = np.random.default_rng(0)
    for variable in net.shared():
        if variable.name in ("beta", "moving_mean", "moving_variance", "bias"):
            variable.assign(generator.uniform(0.5, 2, variable.shape))
    return backbone, of, net


@pytest.fixture(scope="module")
def ranker(searched):
    return ranking.Ranker(*searched, DATA)


def _by_layer(net):
    layers = {layer.name: layer for layer in net.network.layers}
    for cell in net.cells:
        for candidate in cell.candidates:
            layers |= {layer.name: layer for layer in candidate.chain}
    return layers


def _student(searched, architecture):
    """The student of an architecture, with the supernet's weights and statistics of the training images."""
    backbone, of, net = searched
    template = spec.ArchSpec(*ARGUMENTS, (), cost.of_model(backbone.model))
    student = build.student(
        dataclasses.replace(template, add_ons=of.add_ons(architecture), cost=of.cost(architecture))
    )
    layers = _by_layer(net)
    for layer in student.layers:
        if layer.weights:
            layer.set_weights(layers[layer.name].get_weights())
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    student(tf.cast(DATA.train.images, tf.float32), training=True)
    return student


@pytest.mark.parametrize(
    "architecture", [((1, 0, 1), (3, 0, 1), (5, 0, 1)), ((4, 0, 1), (0, 0, 0), (2, 0, 1)), ((0, 0, 0),) * 3]
)
def test_a_candidate_is_judged_as_the_built_student_with_its_weights(searched, ranker, architecture):
    expected = inference.Predictor(_student(searched, architecture)).evaluate(DATA.val)
    found = ranker.evaluate(architecture)
    assert found["accuracy"] == expected["accuracy"]
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_a_judgement_does_not_depend_on_those_before_it(ranker):
    first, other = ((1, 0, 1), (3, 0, 1), (5, 0, 1)), ((2, 0, 1), (1, 0, 1), (1, 0, 1))
    judged = ranker.evaluate(first)
    assert ranker.evaluate(other)["loss"] != judged["loss"]
    assert ranker.evaluate(first) == judged


def test_ranking_leaves_the_trained_supernet_as_it_is(searched, ranker):
    before = [variable.numpy() for variable in searched[2].shared()]
    ranker.evaluate(((1, 0, 1), (1, 0, 1), (1, 0, 1)))
    for old, variable in zip(before, searched[2].shared(), strict=True):
        np.testing.assert_array_equal(old, variable)


def test_what_is_judged_are_the_weights_of_the_moment(searched, ranker):
    architecture = ((1, 0, 1), (3, 0, 1), (5, 0, 1))
    before = ranker.evaluate(architecture)
    bias = next(variable for variable in searched[2].shared() if variable.path.endswith("bias"))
    held = bias.numpy()
    bias.assign(np.add(held, [3.0, 0.0, -3.0]))
    assert ranker.evaluate(architecture)["loss"] != before["loss"]
    bias.assign(held)
    assert ranker.evaluate(architecture) == before


def test_fewer_examples_are_spread_over_the_split(searched):
    judged = []
    few = ranking.Ranker(*searched, DATA)
    few._predictor.evaluate = lambda split: judged.append(split) or {}
    few.evaluate(((0, 0, 0),) * 3, examples=4)
    np.testing.assert_array_equal(judged[0].images, DATA.val.images[[0, 5, 11, 17]])
    np.testing.assert_array_equal(judged[0].labels, DATA.val.labels[[0, 5, 11, 17]])
