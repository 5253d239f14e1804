"""The folder that leaves with a student."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from okd_tf import backbones, errors
from okd_tf.export import parity, student, tflite

FIELDS = [field.name for field in dataclasses.fields(parity.Parity)]


@pytest.fixture(scope="module")
def exported(trained_model, splits, tmp_path_factory):
    """(directory, report, messages) of one full export."""
    directory = tmp_path_factory.mktemp("run") / "export"
    messages = []
    report = student.export_student(trained_model, splits, directory, progress=messages.append)
    return directory, report, messages


def test_writes_the_files_of_its_report_and_no_others(exported):
    directory, report, _ = exported
    names = {"saved_model", "student_float32.tflite", "student_int8.tflite"}
    assert set(report["files"]) == names
    assert {path.name for path in directory.iterdir()} == names | {"labels.txt", "report.json"}


def test_report_on_disk_is_the_one_returned(exported, splits):
    directory, report, _ = exported
    assert json.loads((directory / "report.json").read_text()) == report
    assert list(report) == ["files", "examples", "keras_accuracy"]
    assert [list(entry) for entry in report["files"].values()] == [FIELDS] * 3
    assert report["examples"] == len(splits.test)


def test_every_file_decides_as_the_keras_model_does(exported):
    _, report, _ = exported
    assert report["keras_accuracy"] > 0.8  # else the network knows too little for the rest to mean much
    assert report["files"]["saved_model"]["agreement"] == 1.0
    assert report["files"]["student_float32.tflite"]["agreement"] == 1.0
    assert report["files"]["student_int8.tflite"]["agreement"] >= 0.97
    assert report["files"]["student_float32.tflite"]["accuracy"] == report["keras_accuracy"]


def test_int8_is_smaller_than_float32(exported):
    files = exported[1]["files"]
    assert files["student_int8.tflite"]["bytes"] < files["student_float32.tflite"]["bytes"]
    assert files["student_int8.tflite"]["input"]["dtype"] == "uint8"
    assert files["student_int8.tflite"]["output"]["dtype"] == "int8"


def test_labels_are_in_the_order_of_the_logits(exported, splits):
    directory, _, _ = exported
    labels = (directory / "labels.txt").read_text().splitlines()
    run = parity.run_tflite(directory / "student_float32.tflite", splits.test.images)
    named = [labels[index] for index in run.outputs.argmax(axis=1)]
    shown = [splits.class_names[label] for label in splits.test.labels]
    assert np.mean([name == truth for name, truth in zip(named, shown, strict=True)]) > 0.8
    assert labels == list(splits.class_names)


def test_progress_names_each_file(exported):
    _, report, messages = exported
    for name in report["files"]:
        assert any(name in message for message in messages)


def test_exporting_again_leaves_no_file_of_a_former_export(trained_model, splits, tmp_path):
    for format_name in tflite.FORMATS:
        (tmp_path / student.file_name(format_name)).write_text("old")
    report = student.export_student(trained_model, splits, tmp_path, formats=("saved_model",))
    assert list(report["files"]) == ["saved_model"]
    assert {path.name for path in tmp_path.iterdir()} == {"saved_model", "labels.txt", "report.json"}


def test_mixed_precision_is_exported_as_float32(splits, tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        backbone = backbones.build("resnet8", 4, splits.image_shape, splits.classes, splits.mean, splits.std)
    finally:
        keras.config.set_dtype_policy(policy)
    report = student.export_student(backbone.model, splits, tmp_path, formats=("saved_model", "float32"))
    written = report["files"]["student_float32.tflite"]
    assert (written["output"]["dtype"], written["agreement"]) == ("float32", 1.0)


def test_representative_images_are_spread_over_the_split(splits):
    train = splits.train
    chosen = student.representative_images(train, 3)
    middle = round((len(train) - 1) / 2)
    np.testing.assert_array_equal(chosen, train.images[[0, middle, len(train) - 1]])
    assert len(student.representative_images(train, len(train) + 5)) == len(train)


def small_model(image_shape, *classes):
    inputs = keras.Input(image_shape)
    flat = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, [keras.layers.Dense(count)(flat) for count in classes])


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (((8, 8, 3), 10), {}, r"takes images of shape \[8, 8, 3\], digits has \[8, 8, 1\]"),
        (((8, 8, 1), 7), {}, r"gives logits of shape \[7\], digits has 10 classes"),
        (((8, 8, 1), 10, 10), {}, "got 1 and 2"),
        (((8, 8, 1), 10), {"formats": ("int9",)}, "did you mean int8"),
        (((8, 8, 1), 10), {"representative_examples": 0}, "0 representative examples"),
    ],
)
def test_refused_before_anything_is_written(splits, tmp_path, model, arguments, message):
    directory = tmp_path / "export"
    with pytest.raises(errors.UserError, match=message) as caught:
        student.export_student(small_model(*model), splits, directory, **arguments)
    assert "\n" not in str(caught.value)
    assert not directory.exists()


def _made(monkeypatch, dies_at=None):
    """The files that are compared from now on; at that number of them the process dies."""
    made, compare = [], parity.compare

    def record(path, *arguments):
        made.append(path.name)
        if len(made) == dies_at:
            raise KeyboardInterrupt
        return compare(path, *arguments)

    monkeypatch.setattr(parity, "compare", record)
    return made


@pytest.fixture
def few(splits):
    """Splits with few test images."""
    return dataclasses.replace(splits, test=splits.test.take(slice(0, 20)))


def _small(splits):
    arguments = (splits.image_shape, splits.classes, splits.mean, splits.std)
    return backbones.build("resnet8", 8, *arguments).model


def test_a_kill_costs_the_file_it_strikes(few, tmp_path, monkeypatch):
    model = _small(few)
    with monkeypatch.context() as patch:
        _made(patch, dies_at=2)
        with pytest.raises(KeyboardInterrupt):
            student.export_student(model, few, tmp_path, formats=("saved_model", "float32"))
    assert not (tmp_path / "report.json").exists()
    made = _made(monkeypatch)
    report = student.export_student(model, few, tmp_path, formats=("saved_model", "float32"))
    assert made == ["student_float32.tflite"]
    assert list(report["files"]) == ["saved_model", "student_float32.tflite"]
    assert not (tmp_path / ".kept").exists()


def test_a_file_that_was_changed_since_or_is_of_another_student_is_made_again(few, tmp_path, monkeypatch):
    first, second = _small(few), _small(few)
    made = _made(monkeypatch)
    monkeypatch.setattr(student.kept.Kept, "forget", lambda self: None)
    student.export_student(first, few, tmp_path, formats=("saved_model",))
    student.export_student(first, few, tmp_path, formats=("saved_model",))
    assert made == ["saved_model"]
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"")
    student.export_student(first, few, tmp_path, formats=("saved_model",))
    assert made == ["saved_model"] * 2
    student.export_student(second, few, tmp_path, formats=("saved_model",))
    assert made == ["saved_model"] * 3
