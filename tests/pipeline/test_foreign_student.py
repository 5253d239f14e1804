"""A student from elsewhere is read, checked and declared as a teacher is, and leaves with its own numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, json_file, settings
from okd_tf.export import network, parity, saved_model
from okd_tf.pipeline import check, record, stages
from okd_tf.pipeline.context import Context

DATA = tiny.make_splits(test=30)
MEANS, FACTOR = np.array([50.0, 110.0, 170.0]), 0.001  # of the classes; of distances


def _right(ending=None, order=(0, 1, 2), scale=1.0, shape=tiny.SHAPE):
    """A model that is right on nearly all images, of values 0 to 255 * scale, with this ending and order."""
    inputs = keras.Input(shape)
    layer = keras.layers.Dense(3, name="scores")
    outputs = layer(keras.layers.GlobalAveragePooling2D()(inputs))
    kernel, bias = 2 * MEANS * FACTOR / scale, -(MEANS**2) * FACTOR
    layer.set_weights([kernel[None, list(order)], bias[list(order)]])
    return keras.Model(inputs, ending(outputs) if ending else outputs)


def _scores(images):
    """Its logits, by NumPy."""
    means = images.astype(np.float64).mean(axis=(1, 2))
    return (2 * MEANS * means - MEANS**2) * FACTOR


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _run(path, workdir, *names, **changes):
    chosen = settings.Settings(workdir=str(workdir), student=str(path), **changes)
    context = Context(chosen, names=names)
    context.data = DATA
    check.check(context, names)
    record.describe(context)
    for name in names:
        record.complete(context, stages.STAGES[name])
    return workdir


def _exported(workdir):
    return saved_model.read(workdir / "export" / "saved_model")(images=tf.constant(DATA.test.images))[
        "probabilities"
    ].numpy()


WAYS = {
    "logits": (lambda: _right(), {}),
    "a softmax": (lambda: _right(keras.layers.Softmax()), {}),
    "a dictionary": (lambda: _right(lambda outputs: {"class": outputs}), {}),
    "two outputs": (lambda: _right(lambda outputs: [outputs, outputs * 0.0]), {"output": "scores"}),
    "any size": (lambda: _right(shape=(None, None, 1)), {}),
    "values from 0 to 1": (lambda: _right(scale=1 / 255), {"value_range": [0, 1]}),
    "another order": (lambda: _right(order=(2, 0, 1)), {"class_names": ["bright", "dark", "grey"]}),
    "another size": (lambda: _right(shape=(8, 8, 1)), {"input_size": [8, 8]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_its_exports_give_its_own_numbers(way, tmp_path):
    make, declared = WAYS[way]
    make().save(tmp_path / "mine.keras")
    if declared:
        json_file.write(tmp_path / "mine.json", declared)
    formats = ("saved_model", "float32") if way in ("another size", "a softmax") else ("saved_model",)
    workdir = _run(tmp_path / "mine.keras", tmp_path / "run", "export", export_formats=formats)
    expected = _softmax(_scores(DATA.test.images))
    np.testing.assert_allclose(_exported(workdir), expected, atol=1e-3)
    if "float32" in formats:
        run = parity.run_tflite(workdir / "export" / "student_float32.tflite", DATA.test.images)
        np.testing.assert_allclose(_softmax(run.outputs), expected, atol=1e-3)


def test_sigmoids_are_refused_until_they_are_declared(tmp_path):
    path = tmp_path / "mine.keras"
    model = _right(keras.layers.Activation("sigmoid"))
    model.save(path)
    for name in ("evaluate", "export"):
        with pytest.raises(errors.UserError, match="numbers from 0 to 1 whose rows do not sum to one"):
            _run(path, tmp_path / "run", name)
    json_file.write(tmp_path / "mine.json", {"outputs": "sigmoids"})
    workdir = _run(path, tmp_path / "run", "export", export_formats=("saved_model",))
    sigmoids = 1 / (1 + np.exp(-_scores(DATA.test.images)))
    np.testing.assert_allclose(_exported(workdir), sigmoids / sigmoids.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_saved_model_is_evaluated_and_exported(tmp_path):
    folder = tmp_path / "mine"
    saved_model.write(network.of_model(_right()), folder)
    formats = ("saved_model", "float32")
    workdir = _run(folder, tmp_path / "run", "evaluate", "export", export_formats=formats)
    expected = _softmax(_scores(DATA.test.images))
    np.testing.assert_allclose(_exported(workdir), expected, atol=1e-4)
    run = parity.run_tflite(workdir / "export" / "student_float32.tflite", DATA.test.images)
    np.testing.assert_allclose(_softmax(run.outputs), expected, atol=1e-4)
    test = json_file.read(workdir / "student" / "metrics.json")["test"]
    assert test["accuracy"] == np.mean(expected.argmax(axis=1) == DATA.test.labels)


def test_one_no_better_than_chance_or_of_another_order_is_doubted(tmp_path, capsys):
    path = tmp_path / "mine.keras"
    _right(order=(2, 0, 1)).save(path)
    _run(path, tmp_path / "run", "evaluate")
    printed = capsys.readouterr().out
    assert "warning: --student is right on " in printed
    named = '"class_names": ["bright", "dark", "grey"]'
    assert f"; with {named} in {tmp_path / 'mine.json'} it is right on " in printed
    _right().save(path)
    _run(path, tmp_path / "other", "evaluate")
    printed = capsys.readouterr().out
    assert "warning" not in printed
    assert f"student: {path}: 6 parameters, gives logits\n" in printed


def test_what_is_declared_of_it_is_part_of_what_its_figures_depend_on(tmp_path, capsys):
    path = tmp_path / "mine.keras"
    _right().save(path)
    _run(path, tmp_path / "run", "evaluate")
    assert "evaluate: complete, not run again" not in capsys.readouterr().out
    _run(path, tmp_path / "run", "evaluate")
    assert "evaluate: complete, not run again" in capsys.readouterr().out
    json_file.write(tmp_path / "mine.json", {"class_names": ["bright", "dark", "grey"]})
    _run(path, tmp_path / "run", "evaluate")
    assert "evaluate: redone, since these changed: what is declared of the student" in capsys.readouterr().out


def test_fewer_integers_than_are_asked_for_fail_the_export_and_name_the_layer(tmp_path, capsys):
    inputs = keras.Input(tiny.SHAPE)
    features = keras.layers.ELU(name="soft")(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(features)))
    path = tmp_path / "mine.keras"
    model.save(path)
    workdir = _run(path, tmp_path / "run", "export", export_formats=("int8",))
    entry = json_file.read(workdir / "export" / "report.json")["files"]["student_int8.tflite"]
    assert entry["integer_share"] == pytest.approx(0.75)
    assert entry["float_operations"] == ["ELU in layer 'soft'"]
    assert "in float are ELU in layer 'soft', as the runtime" in capsys.readouterr().out
    with pytest.raises(errors.UserError, match=r"^--min_integer_share: student_int8\.tflite computes 75\.0%"):
        _run(path, tmp_path / "run", "export", export_formats=("int8",), min_integer_share=0.9, redo=True)
