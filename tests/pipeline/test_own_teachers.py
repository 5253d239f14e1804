"""Teachers of the user through the pipeline: taken over with their manifests, and asked as declared."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import json_file, settings
from okd_tf.export import network, saved_model
from okd_tf.pipeline import check, lessons, record, stages
from okd_tf.pipeline.context import Context
from okd_tf.teachers import teacher

DATA = tiny.make_splits()
DECLARED = {"class_names": ["bright", "dark", "grey"], "outputs": "probabilities"}


def _networks():
    """A network that is right on nearly all, and the same with its classes in another order."""
    inputs = keras.Input(tiny.SHAPE)
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    models = []
    for order in ([0, 1, 2], [2, 0, 1]):
        dense = keras.layers.Dense(tiny.CLASSES)
        models.append(keras.Model(inputs, dense(mean)))
        # Classes lie around the means 50, 110 and 170.
        kernel, bias = np.array([[0.5, 1.1, 1.7]]), -(np.array([0.5, 1.1, 1.7]) ** 2) * 50
        dense.set_weights([kernel[:, order], bias[order]])
    return models


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of a .keras file and a SavedModel of bytes and probabilities in another order of classes."""
    folder = tmp_path_factory.mktemp("given")
    plain, turned = _networks()
    plain.save(folder / "a.keras")
    saved_model.write(network.of_model(turned), folder / "b")
    json_file.write(folder / "b.json", DECLARED)
    return folder


def _context(workdir, given, **changes):
    chosen = settings.Settings(workdir=str(workdir), teachers=(str(given),), views=2, batch_size=9, **changes)
    context = Context(chosen)
    context.data = DATA
    return context


def _run(context):
    check.check(context, ("teachers", "bank"))
    record.describe(context)
    for name in ("teachers", "bank"):
        record.complete(context, stages.STAGES[name])
        record.describe_teachers(context)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, given):
    workdir = tmp_path_factory.mktemp("own") / "run"
    _run(_context(workdir, given))
    return workdir


def test_each_is_copied_with_its_manifest_in_the_order_given(finished, given):
    names = sorted(path.name for path in (finished / "teachers").iterdir())
    assert names == [
        *(f"diagnosis.{kind}" for kind in ("json", "md", "png")),
        "teacher_00.keras",
        "teacher_01",
        "teacher_01.json",
    ]
    assert json_file.read(finished / "teachers" / "teacher_01.json") == DECLARED
    paths = _context(finished, given).teaching.teacher_paths()
    assert paths == [finished / "teachers" / name for name in ("teacher_00.keras", "teacher_01")]


def test_they_are_known_by_the_content_of_network_and_manifest(finished, given):
    hashes = [teacher.content_hash(given / name) for name in ("a.keras", "b")]
    assert json_file.read(finished / "run.json")["teachers"] == [
        {"file": "teacher_00.keras", "sha256": hashes[0]},
        {"file": "teacher_01", "sha256": hashes[1]},
    ]
    assert json_file.read(finished / "teachers" / "diagnosis.json")["teachers"] == [
        {"file": "teacher_00.keras", "sha256": hashes[0], "params": 6},
        {"file": "teacher_01", "sha256": hashes[1], "params": 6},
    ]


def test_what_students_hear_is_in_the_dataset_s_order_of_classes(finished, given):
    batches = lessons.validation_batches(_context(finished, given), "oracle", "search validation")
    for batch in batches.dataset(0, batches.steps_per_epoch):
        plain, turned = (tf.nn.softmax(batch["teacher_logits"][:, index]) for index in (0, 1))
        np.testing.assert_allclose(plain, turned, atol=0.02)
        np.testing.assert_array_equal(np.argmax(turned, axis=1), batch["label"])
    diagnosis = json_file.read(finished / "teachers" / "diagnosis.json")
    assert diagnosis["val"]["per_teacher"] == [1.0, 1.0]


def test_it_is_said_what_each_was_taken_for(tmp_path, given, capsys):
    _run(_context(tmp_path / "run", given, search_loss="ce", train_loss="ce"))
    printed = capsys.readouterr().out
    assert f"teachers: {given}/a.keras is teacher_00.keras: 6 parameters, gives logits\n" in printed
    assert (
        f"teachers: {given}/b is teacher_01: 6 parameters, gives probabilities, classes put in the dataset's "
        "order\n"
    ) in printed


def test_a_finished_run_does_nothing_until_a_manifest_changes(finished, given, tmp_path, capsys):
    workdir = shutil.copytree(finished, tmp_path / "run")
    mine = shutil.copytree(given, tmp_path / "mine")
    _run(_context(workdir, mine))
    printed = capsys.readouterr().out
    assert "teachers: complete, not run again" in printed
    assert "bank: complete, not run again" in printed
    json_file.write(mine / "a.json", {"outputs": "logits"})
    _run(_context(workdir, mine))
    printed = capsys.readouterr().out
    assert "teachers: redone, since these changed: given teacher 1\n" in printed
    assert "bank: redone, since these changed: teacher 1\n" in printed
    assert json_file.read(workdir / "teachers" / "teacher_00.json") == {"outputs": "logits"}


def test_a_manifest_that_changes_in_the_workdir_outdates_what_rests_on_it(finished, given, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")

    def current():
        return record.current(_context(workdir, given), stages.STAGES.values())

    assert current() == {"teachers", "bank"}
    (workdir / "teachers" / "teacher_01.json").unlink()
    assert current() == set()


def test_teachers_outlive_what_they_were_copied_from(finished, given, tmp_path):
    mine = shutil.copytree(given, tmp_path / "mine")
    workdir = tmp_path / "run"
    _run(_context(workdir, mine, search_loss="ce", train_loss="ce"))
    shutil.rmtree(mine)
    context = _context(workdir, mine, search_loss="ce", train_loss="ce")
    assert record.current(context, stages.STAGES.values()) == {"teachers"}
    assert len(context.teaching.ensemble) == 2
