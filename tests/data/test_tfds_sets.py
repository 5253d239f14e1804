"""Prepared TFDS datasets: the same in memory or streamed, of one size, under ids of their own."""

import concurrent.futures
import dataclasses
import os
import pathlib
import types

import filelock
import kinds
import numpy as np
import pytest
import tensorflow as tf

from okd_tf import data, errors
from okd_tf.data import batches, content, identity, index, prepared, sizes, splits, tfds_sets, views

COUNTS = {"train": 40, "test": 12}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Datasets `even` (of one size), `mixed` (of two), `tinted` (of two numbers of channels),
    `nameless` (without ids), `records` (in TFRecord)."""
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("tfds")
    coarse = (tfds.features.ClassLabel(names=["pet", "wild"]), lambda number: number % 2)
    other = (tfds.features.Image(shape=(4, 4, 1)), lambda number: kinds.pixels(number, (4, 4, 1)))
    kinds.prepare(root, "even", COUNTS, more={"coarse": coarse, "small": other})
    kinds.prepare(root, "mixed", COUNTS, shapes=((8, 8, 3), (12, 6, 3)))
    kinds.prepare(root, "tinted", COUNTS, shapes=((8, 8, 3), (8, 8, 1)))
    kinds.prepare(root, "nameless", COUNTS, ids=False)
    kinds.prepare(root, "records", COUNTS, file_format="tfrecord")
    return root


@pytest.fixture
def load(root, tmp_path):
    """Loads a dataset, with caches in a folder of the test."""

    def load(name, **how):
        return data.load(f"tfds:{name}", str(root), **{"cache_dir": str(tmp_path / "cache"), **how})

    return load


def assert_same(one, other):
    """Two sources are of the same examples."""
    for part in ("train", "test"):
        mine, theirs = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(mine.ids, theirs.ids)
        np.testing.assert_array_equal(mine.labels, theirs.labels)
        np.testing.assert_array_equal(mine.images[:], theirs.images[:])
        np.testing.assert_array_equal(mine.fingerprints, theirs.fingerprints)
        np.testing.assert_array_equal(mine.thumbnails, theirs.thumbnails)


def test_examples_are_those_that_were_prepared_under_the_numbers_of_their_names(load):
    source = load("even")
    assert source.name == "even"
    assert source.class_names == kinds.CLASSES
    np.testing.assert_array_equal(source.train.ids, np.arange(40))
    np.testing.assert_array_equal(source.train.labels, np.arange(40) % 3)
    np.testing.assert_array_equal(source.train.images[7], kinds.pixels(1007))
    np.testing.assert_array_equal(source.test.images[7], kinds.pixels(7))
    assert source.augmentation == views.CropFlip(padding=1, flip=True)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("even", {}),
        ("records", {}),
        ("nameless", {}),
        ("even", {"image_size": (5, 6), "resize": "pad"}),
        ("records", {"channels": 1}),
        ("mixed", {"image_size": (8, 8)}),
    ],
)
def test_what_is_streamed_is_what_would_be_in_memory_to_the_bit(load, name, how):
    held, streamed = load(name, **how), load(name, cache_bytes=0, **how)
    assert isinstance(held.train.images, np.ndarray)
    assert not isinstance(streamed.train.images, np.ndarray)
    assert_same(held, streamed)
    one, other = (splits.carve(source, seed=3, train_examples=30) for source in (held, streamed))
    assert one.record() == other.record()
    assert not isinstance(other.train.images, np.ndarray)
    made = [batches.Batches(of.train, 8, 5, of.augmentation, view_seed=2) for of in (one, other)]
    for mine, theirs in zip(*(of.dataset(2, 7) for of in made), strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], theirs[key])


def test_streamed_images_are_indexed_as_an_array_is(load):
    held, streamed = load("even").train.images, load("even", cache_bytes=0).train.images
    assert streamed.shape == held.shape
    assert streamed.nbytes == held.nbytes
    assert len(streamed) == len(held)
    mask = np.arange(40) % 3 == 1
    for rows in (slice(None), slice(3, 9), np.array([5, 5, 1, 39]), mask, np.zeros(0, int)):
        np.testing.assert_array_equal(streamed[rows], held[rows])
    np.testing.assert_array_equal(np.stack(list(streamed)), held)
    np.testing.assert_array_equal(streamed.take(np.array([4, 9, 2]))[1:], held[[9, 2]])


def test_statistics_of_streamed_images_are_those_of_the_chosen_ones(load):
    source = load("even", cache_bytes=0)
    chosen = source.train.take(np.array([3, 1, 30]))
    pixels = chosen.images[:].reshape(-1, 3).astype(float)
    mean, deviation = chosen.statistics()
    np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(deviation, pixels.std(axis=0), atol=1e-4)


def test_images_come_to_a_size_and_channels_one_by_one_or_together(load):
    together = load("even", image_size=(5, 6), channels=1)
    assert together.train.images.shape == (40, 5, 6, 1)
    alone = sizes.bring(kinds.pixels(1007), (5, 6, 1), "crop")
    np.testing.assert_array_equal(together.train.images[7], alone)


def test_without_ids_an_example_is_known_by_what_it_shows(load, tmp_path):
    source = load("nameless")
    assert len(set(source.train.ids.tolist())) == 40
    # Prepared again, in another order.
    import tensorflow_datasets as tfds

    unlike = (tfds.features.Scalar(np.int64), lambda number: number)
    kinds.prepare(tmp_path, "nameless", COUNTS, ids=False, more={"unlike": unlike})
    nameless = data.load("tfds:nameless", str(tmp_path))
    assert_same(source, nameless)
    # Some that are of no use are not looked at.
    kinds.prepare(
        tmp_path, "same", COUNTS, ids=False, more={"id": (tfds.features.Scalar(np.int64), lambda _: 1)}
    )
    with pytest.raises(errors.UserError, match=r"^--id_key: 'id' of .* or none, to tell them apart"):
        data.load("tfds:same", str(tmp_path))
    for cache_bytes in (10**9, 0):
        how = {"id_key": "none", "cache_bytes": cache_bytes, "cache_dir": str(tmp_path / "cache")}
        assert_same(nameless, data.load("tfds:same", str(tmp_path), **how))


def test_copies_of_an_image_have_ids_of_their_own():
    shown = content.fingerprints(np.zeros((3, 2, 2, 1), np.uint8))
    ids = identity.shown(shown, np.array([0, 0, 1], np.int32))
    assert len(set(ids.tolist())) == 3
    assert ids.min() >= 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [([b"a_3", b"b12"], [3, 12]), ([b"1/cat", b"2/cat"], None), ([b"a_3", b"b_3"], None)],
)
def test_names_are_known_by_a_number_of_their_own_or_else_as_a_whole(names, expected):
    ids = identity.given(np.array(names, object))
    assert ids.tolist() == (expected or [identity.hashed(name) for name in names])


def test_two_examples_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two examples of one id"):
        identity.given(np.array([b"x", b"x"], object))


def test_other_features_are_taken_by_their_keys(load):
    source = load("even", label_key="coarse", image_key="small")
    assert source.class_names == ("pet", "wild")
    np.testing.assert_array_equal(source.train.labels, np.arange(40) % 2)
    assert source.train.images.shape == (40, 4, 4, 1)


def test_classes_that_no_image_is_of_are_left_out(tmp_path):
    import tensorflow_datasets as tfds

    kind = (tfds.features.ClassLabel(names=["a", "never", "b", "nor"]), lambda number: number % 2 * 2)
    kinds.prepare(tmp_path, "sparse", COUNTS, more={"kind": kind})
    source = data.load("tfds:sparse", str(tmp_path), label_key="kind")
    assert source.class_names == ("a", "b")
    np.testing.assert_array_equal(source.train.labels, np.arange(40) % 2)
    np.testing.assert_array_equal(source.test.labels, np.arange(12) % 2)


def test_a_validation_split_is_chosen_by_where_there_is_a_test_split_and_else_tested_on(tmp_path):
    kinds.prepare(tmp_path, "three", {"train": 30, "validation": 9, "test": 12})
    three = data.load("tfds:three", str(tmp_path))
    assert (len(three.train), len(three.val), len(three.test)) == (30, 9, 12)
    kinds.prepare(tmp_path, "two", {"train": 30, "validation": 9})
    two = data.load("tfds:two", str(tmp_path))
    assert (len(two.train), two.val, len(two.test)) == (30, None, 9)


def test_splits_are_taken_by_their_names(load, capsys):
    source = load("even", train_split="test", test_split="train")
    assert (len(source.train), len(source.test), source.val) == (12, 40, None)
    assert "data: even: of its splits test as train, train as test\n" in capsys.readouterr().out
    source = load("even", train_split="test", val_split="train")
    assert (len(source.train), len(source.val), source.test) == (12, 40, None)
    load("even", train_split="test")
    assert "data: even: of its splits test as train; not taken: train\n" in capsys.readouterr().out
    load("even")
    assert "of its splits" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("even", {"label_key": "colour"}, r"--label_key: 'even' in .* 'colour'; it has coarse, label; name"),
        ("even", {"image_key": "label"}, r"--image_key: 'even' in .* 'label'; it has image, small; name"),
        ("even", {"id_key": "nr"}, r"--id_key: 'even' in .* no feature 'nr'; give one of .*coarse"),
        ("even", {"test_split": "tset"}, r"--test_split: 'even' in .* 'tset'; give one of test, train$"),
        (
            "even",
            {"train_split": "test", "test_split": "test"},
            r"--train_split, .*: of 'even' in .* name different ones$",
        ),
        ("tinted", {}, r"--channels: images of 'tinted' in .* differ in channels, as [13] and [13]; give"),
        ("mixed", {}, r"--image_size: images of 'mixed' in .* differ in size, as .* give the size"),
        ("none", {}, r"--dataset: TFDS knows no dataset 'none'"),
        ("mnist/no", {}, r"--dataset: 'mnist/no' is not as TFDS names it \(BuilderConfig no not found\)"),
        ("a b/c", {}, r"--dataset: 'a b/c' is not as TFDS names it \(Parsing builder name string a b/c"),
        ("even", {"id_key": "label"}, r"--id_key: 'label' of 'even' in .* does not tell its examples apart"),
        (
            "even",
            {"id_key": "label", "cache_bytes": 0},
            r"--id_key: 'label' of 'even' in .* \(two examples of one id, .*; name a feature of whole",
        ),
        ("even", {"id_key": "small"}, r"--id_key: 'small' of 'even' in .* does not tell its examples apart"),
        ("", {}, r"--dataset: 'tfds:' names no dataset; give one as tfds:NAME"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line_that_lists_what_is(load, name, how, message):
    with pytest.raises(errors.UserError, match=f"^{message}") as refusal:
        load(name, **how)
    assert "\n" not in str(refusal.value)


def test_a_preparation_that_failed_leaves_nothing(load, tmp_path):
    with pytest.raises(errors.UserError, match="differ in size"):
        load("mixed")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert not left


def test_what_is_prepared_once_is_not_prepared_again(load, tmp_path):
    load("mixed", image_size=(8, 8))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*record*")}
    load("mixed", image_size=(8, 8))
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*record*")} != {}


def test_images_of_one_size_that_fit_in_memory_are_brought_to_another_there(load, tmp_path):
    load("even", image_size=(5, 6))
    assert not list((tmp_path / "cache").rglob("*record*"))
    # Here the original ones would not fit, and those of the new size do.
    load("even", image_size=(1, 1), cache_bytes=1000)
    assert list((tmp_path / "cache").rglob("*record*"))


def test_an_index_is_made_once_and_again_when_it_is_damaged_or_its_files_change(
    load, root, tmp_path, monkeypatch
):
    made = []
    original = prepared.Prepared._index
    monkeypatch.setattr(
        prepared.Prepared, "_index", lambda self, split: made.append(split) or original(self, split)
    )
    load("even", cache_bytes=0)
    load("even", cache_bytes=0)
    assert made == ["train", "test"]
    (path, *_) = sorted((tmp_path / "cache" / "index").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    load("even", cache_bytes=0)
    assert len(made) == 3
    (file,) = root.glob("even/1.0.0/*train*")
    os.utime(file, ns=(1, 1))
    load("even", cache_bytes=0)
    assert len(made) == 4


def test_who_wants_the_same_index_waits_for_it_and_does_not_make_it_again(load, root, tmp_path, monkeypatch):
    load("even", cache_bytes=0)
    (path, *_) = sorted((tmp_path / "cache" / "index").glob("*.npz"))
    aside = path.rename(path.with_suffix(".aside"))
    monkeypatch.setattr(prepared.Prepared, "_index", None)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with filelock.FileLock(f"{path}.lock"):
            waiting = pool.submit(load, "even", cache_bytes=0)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            aside.rename(path)
        assert len(waiting.result(30).train) == 40


def test_an_index_that_cannot_be_written_is_one_line_of_the_flag_of_its_folder(load, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index").write_text("a file")
    with pytest.raises(errors.UserError, match=r"^cannot write .*; choose another --cache_dir$"):
        load("even", cache_bytes=0)


def test_an_index_whose_arrays_do_not_go_together_is_none(load, tmp_path):
    load("even", cache_bytes=0)
    path = sorted((tmp_path / "cache" / "index").iterdir())[0]
    whole = index._read(path)
    with path.open("wb") as file:
        np.savez(file, **{**vars(whole), "labels": whole.labels[:-1]})
    assert index._read(path) is None


def test_a_file_that_is_damaged_later_is_named_to_who_trains(load, root, tmp_path):
    kinds.prepare(tmp_path, "broken", COUNTS)
    of = splits.carve(data.load("tfds:broken", str(tmp_path), cache_bytes=0, cache_dir=str(tmp_path)), seed=0)
    (file,) = tmp_path.glob("broken/1.0.0/*train*")
    os.truncate(file, 200)
    made = batches.Batches(of.train, 8, 5)
    with pytest.raises(tf.errors.OpError):
        list(made.dataset(0, 1))
    assert str(made.failure).startswith(f"{file}: cannot be read (")
    with pytest.raises(errors.UserError, match="cannot be read"):
        _ = of.val.images[:]


@pytest.mark.parametrize("how", [{"image_size": (8, 8)}, {"image_size": (8, 8), "cache_bytes": 0}])
def test_an_image_that_cannot_be_decoded_is_one_line_while_others_are_brought_to_a_size(tmp_path, how):
    kinds.prepare(tmp_path, "broken", {"train": 6}, shapes=((8, 8, 3), (12, 6, 3)), file_format="tfrecord")
    (file,) = tmp_path.glob("broken/1.0.0/*train*")
    with tf.io.TFRecordWriter(f"{file}.new") as writer:
        first, *others = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
        for record in (first, *(other.replace(b"\x89PNG", b"none") for other in others)):
            writer.write(record)
    os.replace(f"{file}.new", file)
    with pytest.raises(errors.UserError, match=r"^--data_dir: 'train' of 'broken' in .* cannot be read \("):
        data.load("tfds:broken", str(tmp_path), cache_dir=str(tmp_path / "cache"), **how)


def test_unlabelled_examples_are_refused_by_their_split(tmp_path):
    import tensorflow_datasets as tfds

    hidden = (tfds.features.ClassLabel(num_classes=4), lambda number: -1)
    kinds.prepare(tmp_path, "hidden", COUNTS, more={"hidden": hidden})
    with pytest.raises(
        errors.UserError, match=r"'train' of 'hidden' in .* has the label -1, which is no class"
    ):
        data.load("tfds:hidden", str(tmp_path), label_key="hidden")


def test_a_class_of_test_images_that_training_images_lack_is_named(load):
    source = load("even")
    without = source.train.take(source.train.labels != 2)
    with pytest.raises(
        errors.UserError, match=r"the test images of 'even' have class 'owl', of which there is no"
    ):
        dataclasses.replace(source, train=without)


@pytest.mark.slow
def test_coarse_labels_of_cifar100_are_twenty_groups_of_five(prepared_data):
    folder = pathlib.Path(prepared_data("cifar100")).parent
    source = data.load("cifar100", str(folder), label_key="coarse_label")
    assert len(source.class_names) == 20
    np.testing.assert_array_equal(np.bincount(source.train.labels), np.full(20, 2500))
    with pytest.raises(
        errors.UserError, match=r"^--label_key: .* it has coarse_label, label; name one of these"
    ):
        data.load("cifar100", str(folder), label_key="course_label")


def test_a_download_shows_its_progress_and_a_failing_one_is_one_line(capfd):
    def download_and_prepare(file_format):
        print(f"half of it, as {file_format}", flush=True)
        raise ConnectionError("no way there\nand more")

    builder = types.SimpleNamespace(name="far", download_and_prepare=download_and_prepare)
    with pytest.raises(errors.UserError, match=r"^--download: 'far' could not be fetched \(no way there\);"):
        tfds_sets._fetch(builder)
    assert capfd.readouterr().out == "half of it, as array_record\n"
