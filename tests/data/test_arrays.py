"""Arrays of the user, from Python or from an npz file."""

import dataclasses

import numpy as np
import pytest

from okd_tf import data, errors, pipeline, settings
from okd_tf.data import arrays, splits


def make(count=30, shape=(6, 5, 3), classes=3, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *shape)).astype(np.uint8)
    return images, np.arange(count) % classes


def save(path, **members):
    np.savez(path, **members)
    return f"npz:{path}"


def named(**members):
    """A training and a test part, as Keras calls them, with changes; None leaves an array out."""
    (x_train, y_train), (x_test, y_test) = make(), make(9, seed=1)
    usual = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return {name: array for name, array in {**usual, **members}.items() if array is not None}


@pytest.mark.parametrize(
    "names", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_a_file_is_read_as_keras_or_others_call_its_arrays(tmp_path, names):
    members = dict(zip(names.split(), named().values(), strict=True))
    source = data.load(save(tmp_path / "mine.npz", **members))
    assert source.name == "npz:mine.npz"
    assert source.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(source.train.images, make()[0])
    np.testing.assert_array_equal(source.train.labels, make()[1])
    np.testing.assert_array_equal(source.test.images, make(9, seed=1)[0])
    assert source.train.labels.dtype == np.int32
    assert source.val is None


def test_grey_images_labels_in_a_column_names_and_a_validation_part_are_taken(tmp_path):
    images, labels = make()
    path = save(
        tmp_path / "mine.npz",
        train_images=images[..., 0],
        train_labels=labels[:, None].astype(np.uint8),
        val_images=images[:6, ..., 0],
        val_labels=labels[:6, None],
        class_names=np.array([b"a", b"b", b"c"]),
    )
    source = data.load(path)
    assert source.class_names == ("a", "b", "c")
    assert source.train.images.shape == (30, 6, 5, 1)
    assert (len(source.val), source.test) == (6, None)


def test_other_keys_and_sizes_are_asked_for(tmp_path):
    members = {"pixels_train": make()[0], "kind_train": make()[1], "nr_train": np.arange(30)[::-1] + 7}
    path = save(tmp_path / "mine.npz", **members)
    source = data.load(path, image_key="pixels", label_key="kind", id_key="nr", image_size=(3, 4), channels=1)
    assert source.train.images.shape == (30, 3, 4, 1)
    np.testing.assert_array_equal(source.train.ids, np.arange(30) + 7)
    np.testing.assert_array_equal(source.train.labels, make()[1][::-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, r"--image_key: .* has no train images; it has x_test, y_test, y_train; they are"),
        ({"y_test": None}, r"--label_key: .* has no test labels; it has x_test, x_train, y_train; they are"),
        (
            {"x_train": make()[0] / 255},
            r".* train images are float64 of shape .*; give pixel values 0\.\.255",
        ),
        ({"x_test": make(9, (6, 4, 3))[0]}, r".* test images are of shape \(6, 4, 3\), train images of"),
        ({"y_train": np.eye(30)}, r".* train labels are float64 of shape \(30, 30\), of 30 images; give one"),
        ({"y_train": make()[1] - 1}, r".* train labels begin at -1; number the classes from 0$"),
        (
            {"y_train": make()[1] + 1, "y_test": make(9)[1] + 1, "class_names": np.array(["a", "b", "c"])},
            r".* labels go from 1 to 3; number the classes from 0: subtract 1 from the labels of all parts$",
        ),
        ({"y_train": make()[1] / 1.0}, r".* give one whole number for each, by y\.astype\('int64'\)$"),
        ({"y_train": np.eye(3)[make()[1]]}, r".* number for each, of one-hot rows y\.argmax\(axis=1\)$"),
        ({"y_train": np.array(["a", "b", "c"])[make()[1]]}, r".* for each: class_names, y = np\.unique\(y, "),
        ({"x_train": make()[0].astype("uint16")}, r".* of 12 bits x // 16, up to 255 x alone$"),
        (
            {"y_train": make()[1] * 5_000_000_000},
            r".* train labels go up to 10000000000, and there are 30 training images, of each class one",
        ),
        (
            {"y_train": make()[1] + 1, "y_test": make(9)[1] + 1},
            r".* labels go from 1 to 3; number the classes from 0: subtract 1 from the labels of all parts$",
        ),
        (
            {"y_train": make()[1] * 0, "y_test": make(9)[1] * 0},
            r"--dataset: 'npz:mine.npz' has one class, 0; give images of two or more$",
        ),
        (
            {"x_train": make()[0].transpose(0, 3, 1, 2)},
            r".* train images are of shape \(30, 3, 6, 5\), as if channels came first; give them as",
        ),
        ({"y_test": make(9)[1] + 3}, r"--dataset: the test images of .* have class '3' and 2 more, of which"),
        ({"class_names": np.array(["a"])}, r".* class_names has 1 names, and there is a label 2; name all"),
        ({"class_names": "cat"}, r".* class_names has 1 names, and there is a label 2; name all"),
        ({"x_train": np.array([{}])}, r".* not a file of arrays \(.*; is it cut short, or of objects\?"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_in_one_line(tmp_path, changes, message):
    path = save(tmp_path / "mine.npz", **named(**changes))
    with pytest.raises(errors.UserError, match=f"^{message}") as refusal:
        data.load(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04cut"])
def test_a_file_that_is_none_of_arrays_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=f"^--dataset: {path}: not a file of arrays"):
        data.load(f"npz:{path}")


def test_a_file_of_one_array_is_refused(tmp_path):
    path = tmp_path / "mine.npy"
    np.save(path, make()[0])
    with pytest.raises(errors.UserError, match=f"^--dataset: {path}: not a file of arrays"):
        data.load(f"npz:{path}")


@pytest.mark.parametrize("name", ["npz:", "npz:/nowhere/mine.npz"])
def test_a_file_that_is_not_there_is_refused(name):
    with pytest.raises(errors.UserError, match=r"no such file; give one as npz:FILE"):
        data.load(name)


def test_a_field_that_a_dataset_does_not_take_is_refused_by_its_flag():
    with pytest.raises(
        errors.UserError, match=r"^--label_key requires a --dataset of cifar10, .* \(got digits\)"
    ):
        data.load("digits", label_key="coarse_label")


@pytest.mark.parametrize("name", ["digits:8x8", "cifar100:", "folder:photos"])
def test_what_a_name_says_after_a_colon_is_refused_where_it_means_nothing(name):
    alone = name.partition(":")[0]
    with pytest.raises(
        errors.UserError, match=f"^--dataset: {name}: only tfds:NAME and npz:FILE .*; give {alone} alone$"
    ):
        data.load(name)


def test_labels_from_python_may_be_a_list():
    images, labels = make()
    np.testing.assert_array_equal(arrays.source((images, labels.tolist())).train.labels, labels)


def test_a_missing_test_part_is_carved_and_another_seed_carves_another(tmp_path):
    source = arrays.source(make(60))
    one, again, other = (splits.carve(source, seed, test_examples=12) for seed in (1, 1, 2))
    assert (len(one.train), len(one.val), len(one.test)) == (42, 6, 12)
    everyone = np.concatenate([part.ids for part in (one.train, one.val, one.test)])
    assert sorted(everyone) == list(range(60))
    np.testing.assert_array_equal(one.test.ids, again.test.ids)
    assert set(one.test.ids) != set(other.test.ids)


def test_a_validation_part_of_its_own_is_taken_whole_or_a_part_of_it(tmp_path):
    source = arrays.source(make(60), val=make(20, seed=1), test=make(9, seed=2))
    assert len(splits.carve(source, 0).val) == 20
    assert len(splits.carve(source, 0).train) == 60
    assert len(splits.carve(source, 0, val_examples=5).val) == 5
    with pytest.raises(errors.UserError, match=r"^--val_examples: 21 asked of 20 validation images"):
        splits.carve(source, 0, val_examples=21)
    with pytest.raises(errors.UserError, match=r"^--test_examples: 'arrays' has 9 test images of its own"):
        splits.carve(source, 0, test_examples=3)


@pytest.mark.slow
def test_a_run_takes_arrays_from_python_and_remembers_that_it_did(tmp_path, capsys):
    chosen = settings.Settings(
        workdir=str(tmp_path / "run"),
        batch_size=8,
        num_teachers=1,
        teacher_epochs=1,
        teacher_backbone="resnet8",
        teacher_width=2,
        stages=("teachers",),
    )
    pipeline.run(chosen, ("teachers",), source=arrays.source(make(60), name="mine"))
    assert (tmp_path / "run" / "teachers" / "teacher_00.keras").exists()
    assert "data: mine: 3 classes, images 6x5x3: train 48, val (carved) 6, test (carved) 6\n" in (
        capsys.readouterr().out
    )
    assert "--dataset=arrays\n" in (tmp_path / "run" / settings.FLAGFILE).read_text()
    with pytest.raises(errors.UserError, match=r"^--dataset: 'arrays' are given from Python"):
        pipeline.run(dataclasses.replace(chosen, dataset="arrays"), ("teachers",))
    with pytest.raises(errors.UserError, match=r"^--dataset: cifar10 is named, and a dataset is given"):
        pipeline.run(dataclasses.replace(chosen, dataset="cifar10"), (), source=arrays.source(make(60)))
