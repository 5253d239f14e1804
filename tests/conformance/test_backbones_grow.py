"""Every backbone goes the way of a run: search space, supernet, student, training, files that leave.

Steps run op by op: graphs of the deepest would take minutes to trace.
"""

import functools
import random

import keras
import numpy as np
import pytest
import tiny

from okd_tf import backbones
from okd_tf.arch import build, cost, space, spec, uniform
from okd_tf.backbones import keras_file, stored
from okd_tf.export import parity
from okd_tf.export import student as exporting
from okd_tf.ops import batch_norm
from okd_tf.search import loop as search_loop
from okd_tf.training import classifier, objective

OPS = ("identity", "sep_conv_3x3", "conv_3x3")
WIDTH = 4
FAST = ("vgg8",)
LATER = (pytest.mark.slow, pytest.mark.exhaustive)

each = pytest.mark.parametrize("name", backbones.BACKBONES)
each_but_few_later = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else LATER) for name in backbones.BACKBONES]
)


@functools.cache
def _data(name):
    side = max(8, backbones.BACKBONES[name].least)
    return tiny.make_splits(shape=(side, side, 1))


@functools.cache
def _grown(name):
    """(a supernet after a step, space, budget, what was found in it as specs)."""
    keras.utils.set_random_seed(0)
    data = _data(name)
    backbone = backbones.build(name, WIDTH, data.image_shape, data.classes, data.mean, data.std)
    of = space.SearchSpace.around(backbone, OPS)
    budget = spec.Budget(int(1.2 * of.base.params), int(1.5 * of.base.flops))
    model, moved = _searched(backbone, of, budget, data)
    found = [*model.propose(1, seed=0), uniform.UniformSampler(of, budget).sample(random.Random(1))]
    specs = [
        spec.ArchSpec(
            *(name, WIDTH, data.image_shape, data.classes, data.mean, data.std, of.add_ons(architecture)),
            *(of.cost(architecture), budget),
            attach_points=backbone.attach_points,
        )
        for architecture in found
    ]
    return moved, budget, specs


def _searched(backbone, of, budget, data):
    """A search after one step, and of the weights and alphas that must move, whether they did."""
    logits = np.random.default_rng(0).normal(size=(len(data.train), 2, data.classes)).astype(np.float32)
    training = tiny.make_batches(data.train, 12, teacher_logits=lambda rows, views: logits[rows])
    model = search_loop.make_model(
        *(backbone, of, budget, "gumbel", objective.Objective("oracle", 2.0)),
        *(tiny.make_recipe(), tiny.make_options(), 1, training),
    )
    cells = {id(weight) for cell in model.supernet.cells for weight in cell.weights}
    own = [one for one in _learning(model.network) if id(one) not in cells]
    alphas = model.supernet.alphas()
    before = tiny.values(own), tiny.values(alphas)
    batch = next(iter(training.dataset(0, 1)))
    logs = model.train_step((batch, batch))
    assert all(np.isfinite(value) for value in logs.values())
    return model, (tiny.moved(before[0], own), tiny.moved(before[1], alphas))


def _learning(network):
    """The weights with gradients: not the biases of convolutions that batch norm follows."""
    return [one for one in network.trainable_weights if not one.path.endswith("conv/bias")]


@functools.cache
def _student(name):
    """A student after some steps, as it is saved; whether its weights moved."""
    _, _, specs = _grown(name)
    keras.utils.set_random_seed(1)
    student = build.student(next(one for one in specs if one.add_ons))
    network = batch_norm.fused_copy(student)
    rate = keras.optimizers.SGD(0.02, momentum=0.9)
    model = classifier.Classifier(network, objective.Objective("ce"), rate, 1e-3)
    before = tiny.values(_learning(network))
    training = tiny.make_batches(_data(name).train, 12)
    for batch in training.dataset(0, 2):
        logs = model.train_step(batch)
    assert np.isfinite(logs["loss"])
    moved = tiny.moved(before, _learning(network))
    # After so few steps moving statistics are far from what deep networks need to keep their scale.
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(_data(name).train.images.astype(np.float32), training=True)
    return batch_norm.stock_copy(network), moved


@each_but_few_later
def test_a_search_step_moves_all_of_it(name):
    (weights, alphas), _, _ = _grown(name)
    assert all(weights)
    assert any(alphas)


@each_but_few_later
def test_what_is_found_within_a_budget_is_built_at_exactly_its_cost(name):
    _, budget, specs = _grown(name)
    for found in specs:
        student = build.student(found)
        assert cost.of_model(student) == found.cost
        assert student.count_params() == found.cost.params <= budget.max_params
        assert found.cost.flops <= budget.max_flops
    assert any(found.add_ons for found in specs)


@each_but_few_later
def test_a_training_step_moves_all_of_the_student(name):
    assert all(_student(name)[1])


@each_but_few_later
def test_a_saved_student_reads_as_the_same_network(name, tmp_path):
    student, _ = _student(name)
    keras_file.save(tmp_path / "student.keras", student)
    read = keras_file.load(tmp_path / "student.keras")
    assert stored.fingerprint(read) == stored.fingerprint(student)
    pixels = _data(name).test.images.astype(np.float32)
    np.testing.assert_allclose(read(pixels), student(pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive
@each
def test_exported_files_say_what_the_student_says(name, tmp_path):
    student, _ = _student(name)
    data = _data(name)
    found = exporting.export_student(student, data, tmp_path)["files"]
    logits = student(data.test.images.astype(np.float32)).numpy()
    scale = np.abs(logits).max()
    assert found["saved_model"]["max_abs_diff"] < 1e-4
    assert found["student_float32.tflite"]["max_abs_diff"] < 1e-4 * scale
    # Of narrow networks that know nothing eight bits lose much: of the linear bottlenecks of MobileNetV2, two
    # channels wide, a correlation of 0.67 is left. Of a graph that is another, none would be.
    images = data.train.images
    rounded = parity.run_tflite(tmp_path / "student_int8.tflite", images).outputs
    exact = student(images.astype(np.float32)).numpy()
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.5
