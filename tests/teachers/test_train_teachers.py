"""Training an ensemble."""

import dataclasses
import os

import keras
import numpy as np
import pytest
import tiny

from okd_tf.teachers import folds, train
from okd_tf.training import recipe


def _train(folder, data, count, held_out=None, balance="none", networks=("resnet8",)):
    train.train(
        data,
        networks=[networks[index % len(networks)] for index in range(count)],
        width=2,
        epochs=1,
        batch_size=9,
        seed=0,
        how=tiny.make_recipe(),
        folder=folder / "teachers",
        logs=folder / "logs",
        held_out=held_out,
        balance=balance,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    found = tmp_path_factory.mktemp("run")
    _train(found, data, 2)
    return found


def _weights(path):
    return keras.saving.load_model(path).get_weights()


def test_teachers_differ_since_their_seeds_do(folder):
    first, second = (_weights(train.path(folder / "teachers", index)) for index in (0, 1))
    assert np.any(first[0] != second[0])
    assert np.any(first[-2] != second[-2])


def test_teachers_are_files_of_stock_layers_beside_their_histories(folder):
    names = sorted(path.name for path in (folder / "teachers").iterdir())
    assert names == ["history_00", "history_01", "teacher_00.keras", "teacher_01.keras"]
    model = keras.saving.load_model(folder / "teachers" / "teacher_00.keras")
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in model.layers)


def test_checkpoints_of_a_teacher_stay_until_its_file_is_there(folder, data, tmp_path, monkeypatch):
    for index in (0, 1):
        assert not (folder / "teachers" / f"history_{index:02}" / "checkpoints").exists()
    finish, seen = recipe.finish, []

    def finished(work):
        assert list((work / "checkpoints").glob("step_*"))
        seen.append(sorted(path.name for path in (tmp_path / "teachers").glob("*.keras")))
        finish(work)

    monkeypatch.setattr(recipe, "finish", finished)
    _train(tmp_path, data, 1)
    assert seen == [["teacher_00.keras"]]


def test_teachers_that_are_there_are_not_trained_again_and_missing_ones_come_out_the_same(folder, data):
    first, second = (train.path(folder / "teachers", index) for index in (0, 1))
    before = _weights(second)
    second.unlink()
    os.utime(first, (1, 1))
    _train(folder, data, 2)
    assert first.stat().st_mtime == 1.0
    for mine, theirs in zip(_weights(second), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory, data):
    """Three teachers of two folds, trained by name only: (folder, ids shown to each, files there by then)."""
    folder = tmp_path_factory.mktemp("folds")
    shown, files_before = [], []

    def pretend(make, objective, training, val, *, save_to, **kwargs):
        files_before.append(sorted(path.name for path in save_to.parent.iterdir()))
        steps = training.dataset(0, 9 * training.steps_per_epoch)
        shown.append({int(one) for batch in steps for one in batch["id"]})
        assert training.steps_per_epoch == 2  # of 18 examples, by nines
        save_to.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "train", pretend)
        _train(folder, data, 3, folds.assigned(data.train.ids, 3, 2, seed=5))
    return folder, shown, files_before


def test_no_teacher_is_ever_shown_what_it_holds_out_and_it_is_shown_all_else(trained_on, data):
    part = folds.parts(data.train.ids, 2, seed=5)
    for index, shown in enumerate(trained_on[1]):
        assert shown == set(data.train.ids[part != index % 2].tolist())


def test_what_a_teacher_holds_out_is_recorded_before_its_file_is_there(trained_on, data):
    folder, _, files_before = trained_on
    for index, names in enumerate(files_before):
        assert f"teacher_{index:02}.json" in names
        assert f"teacher_{index:02}.keras" not in names
    recorded = [folds.recorded(train.path(folder / "teachers", index)) for index in range(3)]
    assert recorded == folds.assigned(data.train.ids, 3, 2, seed=5)


def test_a_lost_record_is_written_again_without_training(trained_on, data, monkeypatch):
    folder = trained_on[0]
    (folder / "teachers" / "teacher_01.json").unlink()
    monkeypatch.setattr(recipe, "train", None)
    _train(folder, data, 3, folds.assigned(data.train.ids, 3, 2, seed=5))
    assert folds.recorded(train.path(folder / "teachers", 1))["part"] == 1


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_classes_are_balanced_in_what_a_teacher_is_shown_of_them(balance, data, tmp_path, monkeypatch):
    # Of the last class one example is left, which the first teacher holds out.
    part = folds.parts(data.train.ids, 2, seed=5)
    bright = np.flatnonzero((data.train.labels == 2) & (part == 0))[0]
    kept = (data.train.labels != 2) | (np.arange(len(part)) == bright)
    few = dataclasses.replace(data, train=data.train.take(kept))
    held_out = [
        {**one, "split": folds.fingerprint(few.train.ids)} for one in folds.assigned([], 2, 2, seed=5)
    ]
    missing = folds.parts(few.train.ids, 2, seed=5)[few.train.labels == 2].item()
    seen = []
    monkeypatch.setattr(
        recipe, "train", lambda make, objective, training, val, *, save_to, **more: seen.append(training)
    )
    _train(tmp_path, few, 2, held_out, balance)
    for index, training in enumerate(seen):
        labels, classes = training.split.labels, 2 if index == missing else 3
        assert len(np.unique(labels)) == classes
        batches = list(training.dataset(0, 4))
        if balance == "weights":
            expected = len(labels) / (classes * np.bincount(labels))
            for batch in batches:
                np.testing.assert_allclose(batch["weight"], expected[batch["label"]], rtol=1e-6)
        else:
            counts = np.bincount(np.concatenate([batch["label"] for batch in batches]))
            assert counts.tolist() == [36 // classes] * classes


def test_each_teacher_is_of_the_network_that_is_named_for_it(data, tmp_path, monkeypatch):
    made = []

    def pretend(make, *args, save_to, title, **kwargs):
        made.append((make().name, save_to.name, title))
        save_to.parent.mkdir(exist_ok=True)
        save_to.touch()

    monkeypatch.setattr(recipe, "train", pretend)
    _train(tmp_path, data, 3, networks=("wrn16_1", "resnet8"))
    assert made == [
        ("wrn16_1", "teacher_00.keras", "teacher 1 of 3 (wrn16_1)"),
        ("resnet8", "teacher_01.keras", "teacher 2 of 3 (resnet8)"),
        ("wrn16_1", "teacher_02.keras", "teacher 3 of 3 (wrn16_1)"),
    ]
