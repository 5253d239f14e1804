"""The view bank holds what the teachers say of exactly the views that training shows."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.data import batches, views
from okd_tf.teachers import bank

VIEWS, VIEW_SEED = 3, 11


@pytest.fixture(scope="module")
def teachers(networks, data):
    return tiny.make_ensemble(networks, data)


@pytest.fixture(scope="module")
def written(tmp_path_factory, teachers, data):
    folder = tmp_path_factory.mktemp("bank")
    bank.write(folder, teachers, data, VIEWS, VIEW_SEED)
    return folder


@pytest.fixture
def copied(written, tmp_path):
    return shutil.copytree(written, tmp_path / "bank")


def test_stored_logits_are_the_live_teachers_on_the_pixels_of_the_batch(written, teachers, data):
    stream = batches.Batches(
        data.train,
        9,
        seed=5,
        augmentation=data.augmentation,
        view_seed=VIEW_SEED,
        num_views=VIEWS,
        teacher_logits=bank.reader(written, "train", 2),
    )
    shown = set()
    # Four epochs: the views come round again in the last.
    for batch in stream.dataset(0, 4 * stream.steps_per_epoch):
        live = teachers.live(batch["image"]).numpy()
        shown |= set(batch["view"].numpy().tolist())
        # float16 keeps eleven bits.
        np.testing.assert_allclose(batch["teacher_logits"], live, rtol=2**-10, atol=1e-3)
    assert shown == {0, 1, 2}


def test_views_of_an_image_are_told_apart(written, data):
    read = bank.reader(written, "train", 2)
    rows = np.arange(len(data.train))
    logits = [read(rows, np.full(len(rows), view)) for view in range(VIEWS)]
    assert np.max(np.abs(logits[0] - logits[1])) > 0.01
    assert np.max(np.abs(logits[1] - logits[2])) > 0.01


def test_validation_images_are_shown_as_they_are(written, teachers, data):
    stream = batches.Batches(data.val, 9, seed=5, teacher_logits=bank.reader(written, "val", 2))
    for batch in stream.dataset(0, 2):
        live = teachers.live(batch["image"]).numpy()
        np.testing.assert_allclose(batch["teacher_logits"], live, rtol=2**-10, atol=1e-3)


def test_files_are_as_documented(written, data):
    assert sorted(path.name for path in written.iterdir()) == [
        "train_00.npy",
        "train_01.npy",
        "val_00.npy",
        "val_01.npy",
    ]
    train, val = (np.load(written / f"{part}_00.npy") for part in ("train", "val"))
    assert (train.shape, val.shape) == ((VIEWS, len(data.train), 3), (1, len(data.val), 3))
    assert train.dtype == val.dtype == np.float16


def test_a_killed_bank_goes_on_with_what_is_missing_only(copied, teachers, data):
    missing = copied / "train_01.npy"
    content = missing.read_bytes()
    missing.unlink()
    assert not bank.is_there(copied, 2)
    kept = sorted(copied.iterdir())
    for path in kept:
        os.utime(path, (1, 1))
    bank.write(copied, teachers, data, VIEWS, VIEW_SEED)
    assert missing.read_bytes() == content
    assert [path.stat().st_mtime for path in kept] == [1.0] * 3
    assert bank.is_there(copied, 2)


def test_a_teacher_that_fails_leaves_no_file_that_looks_whole(tmp_path, teachers, data, monkeypatch):
    def fail(index, images):
        raise KeyboardInterrupt

    monkeypatch.setattr(teachers, "one", fail)
    with pytest.raises(KeyboardInterrupt):
        bank.write(tmp_path, teachers, data, VIEWS, VIEW_SEED)
    assert list(tmp_path.iterdir()) == []


def test_a_bank_is_there_for_the_teachers_it_has(written, tmp_path):
    assert bank.is_there(written, 2)
    assert not bank.is_there(written, 3)
    assert not bank.is_there(written, 0)
    assert not bank.is_there(tmp_path, 1)


def test_more_views_than_an_image_has_are_refused_with_both_numbers(tmp_path, teachers, data):
    bank.check_views(18, data)
    with pytest.raises(errors.UserError, match=r"--views: 19 asked, .* has 18 views"):
        bank.write(tmp_path, teachers, data, 19, VIEW_SEED)
    assert list(tmp_path.iterdir()) == []


def _disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(free, 0, free))


def test_a_disk_without_room_for_it_is_refused_before_the_teachers_are_asked(
    tmp_path, teachers, data, monkeypatch
):
    # Two bytes a logit, three classes, two teachers.
    needed = 2 * 3 * 2 * (VIEWS * len(data.train) + len(data.val))
    _disk(monkeypatch, needed - 1)
    with pytest.raises(errors.UserError, match="the view bank needs"):
        bank.write(tmp_path, teachers, data, VIEWS, VIEW_SEED)
    assert list(tmp_path.iterdir()) == []
    _disk(monkeypatch, needed)
    bank.write(tmp_path, teachers, data, VIEWS, VIEW_SEED)
    assert bank.is_there(tmp_path, 2)


def test_what_is_written_already_needs_no_room(copied, teachers, data, monkeypatch):
    (copied / "val_01.npy").unlink()
    _disk(monkeypatch, 2 * 3 * len(data.val))
    bank.write(copied, teachers, data, VIEWS, VIEW_SEED)
    assert bank.is_there(copied, 2)


def test_logits_beyond_float16_are_clipped_and_not_infinite(tmp_path, networks, data):
    huge = tf.keras.models.clone_model(networks[0])
    huge.set_weights([weight * 1e6 for weight in networks[0].get_weights()])
    bank.write(tmp_path, tiny.make_ensemble([huge], data), data, 1, VIEW_SEED)
    stored = np.load(tmp_path / "train_00.npy")
    assert np.all(np.isfinite(stored))
    assert np.max(np.abs(stored)) == np.finfo(np.float16).max


def test_examples_are_asked_in_chunks_without_a_seam(tmp_path, written, teachers, data, monkeypatch):
    monkeypatch.setattr(bank, "CHUNK", 7)
    bank.write(tmp_path, teachers, data, VIEWS, VIEW_SEED)
    for path in written.iterdir():
        np.testing.assert_allclose(np.load(tmp_path / path.name), np.load(path), rtol=2**-9, atol=1e-3)


def test_views_may_be_all_there_are(tmp_path, teachers, data):
    plain = dataclasses.replace(data, augmentation=views.CropFlip(padding=0, flip=True))
    bank.write(tmp_path, teachers, plain, 2, VIEW_SEED)
    one, other = np.load(tmp_path / "train_00.npy")
    # The image and its mirror image, in an order of each example's own.
    mirrored = teachers.one(0, data.train.images[:, :, ::-1]).astype(np.float16)
    plainly = teachers.one(0, data.train.images).astype(np.float16)
    expected = np.sort(np.stack([mirrored, plainly]), axis=0)
    np.testing.assert_allclose(np.sort(np.stack([one, other]), axis=0), expected, rtol=2**-9, atol=1e-3)
