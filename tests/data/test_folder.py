"""A folder of images prepared: what is kept of it, when it is prepared anew, and how it is refused."""

import os
import pathlib

import numpy as np
import photos
import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import folder, pixels, sizes
from okd_tf.sources import listing, request


def _asked(root, cache, **more):
    return request.Request("folder", data_dir=str(root), cache_dir=str(cache), **more)


def _read(builder, split="train"):
    """{id: (pixels, label)} of a split."""
    return {int(one["id"]): (one["image"], int(one["label"])) for one in builder.as_data_source(split=split)}


def _ids(root, split="train"):
    return {file.name: file.id for file in listing.read(pathlib.Path(root)).files[split]}


def _refusal(asked):
    with pytest.raises(errors.UserError) as refusal:
        folder.builder(asked)
    message = str(refusal.value)
    assert "\n" not in message
    return message


NAMES = (
    "train/a/1.png",
    "train/a/2.bmp",
    "train/b/deep/3.gif",
    "train/b/4.webp",
    "val/a/1.png",
    "test/b/5.png",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder, its images by name, the folder of caches, and the builder."""
    root = tmp_path_factory.mktemp("folder")
    made = photos.fill(root / "photos", *NAMES)
    return root / "photos", made, root / "cache", folder.builder(_asked(root / "photos", root / "cache"))


def test_images_of_one_size_are_kept_to_the_bit(prepared):
    root, made, _, builder = prepared
    assert builder.info.file_format.value == "array_record"
    assert builder.info.features["label"].names == ["a", "b"]
    assert builder.info.features["image"].shape == (6, 8, 3)
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == {
        "train": 4,
        "val": 1,
        "test": 1,
    }
    for split in ("train", "val", "test"):
        found = _read(builder, split)
        for name, id_ in _ids(root, split).items():
            image, label = found.pop(id_)
            assert label == (name[0] == "b")
            if not name.endswith(".gif"):  # which has fewer colours
                np.testing.assert_array_equal(image, made[f"{split}/{name}"])
        assert not found


def test_a_folder_that_stays_as_it_is_is_not_prepared_again(prepared, monkeypatch, capsys):
    root, _, cache, builder = prepared
    monkeypatch.setattr(pixels, "header", None)
    again = folder.builder(_asked(root, cache))
    assert again.data_dir == builder.data_dir
    assert f"data: folder: {root}, 2 classes, images: train 4, val 1, test 1\n" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["touched", "added", "size", "channels", "limit"])
def test_whatever_decides_the_result_has_it_prepared_anew(change, prepared, tmp_path):
    root, _, cache, builder = prepared
    listed = listing.read(root)
    asked = _asked(root, cache)
    if change in ("touched", "added"):
        photos.fill(tmp_path, *NAMES, *(["train/b/9.png"] if change == "added" else []))
        for name in NAMES:
            status = (root / name).stat()
            os.utime(tmp_path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (folder._config(listing.read(tmp_path), asked) == builder_config(builder)) == (
            change == "touched"
        )
        os.utime(tmp_path / NAMES[0], ns=(1, 1))
        listed = listing.read(tmp_path)
    else:
        more = {"size": {"image_size": (4, 4)}, "channels": {"channels": 1}, "limit": {"max_unreadable": 2}}
        asked = _asked(root, cache, **more[change])
    assert folder._config(listed, asked) != builder_config(builder)


def builder_config(builder):
    return pathlib.Path(builder.data_dir).parent.name


def test_images_of_many_kinds_come_to_one_size_and_colour(tmp_path, capsys):
    root = tmp_path / "photos"
    wide, tall = photos.image(1, 6, 9), photos.image(2, 8, 5)
    grey, clear = photos.image(3, 7, 7, channels=1), photos.image(4, 5, 5, channels=4)
    paths = [
        photos.write(root / name, image)
        for name, image in (("a/1.png", wide), ("a/2.png", tall), ("b/3.bmp", grey), ("b/4.png", clear))
    ]
    photos.write(root / "c" / "5.jpg", wide)
    (root / "c" / "notes.txt").write_text("")
    asked = _asked(root, tmp_path / "cache", image_size=(4, 6), channels=3, resize="pad")
    found = _read(folder.builder(asked))
    ids = _ids(root)
    for path, image in zip(paths, (wide, tall, np.dstack([grey] * 3), clear[..., :3]), strict=True):
        shown, _ = found[ids[f"{path.parent.name}/{path.name}"]]
        np.testing.assert_array_equal(shown, sizes.fit(image, (4, 6), "pad"))
    told = capsys.readouterr().out
    assert f"data: folder: of {root} not read: 1 .txt\n" in told
    assert "1 of 3 classes have a single training image, which no two splits can have: c\n" in told


def test_images_of_many_sizes_are_refused_with_the_sizes(tmp_path):
    photos.fill(tmp_path, "a/1.png", "a/2.png", "b/3.png")
    photos.fill(tmp_path, "b/4.png", height=9)
    message = _refusal(_asked(tmp_path, tmp_path / "cache"))
    assert message.startswith(f"--image_size: the images of {tmp_path} have 2 sizes (6x8: 3, such as ")
    assert f"9x8: 1, such as {tmp_path / 'b' / '4.png'}" in message
    assert "--image_size=" in message[20:]


def test_grey_and_coloured_images_are_refused_with_one_of_each(tmp_path):
    photos.fill(tmp_path, "a/1.png", "b/2.png")
    photos.fill(tmp_path, "b/3.png", channels=1)
    message = _refusal(_asked(tmp_path, tmp_path / "cache"))
    assert message.startswith(
        f"--channels: 1 images of {tmp_path} are grey, such as {tmp_path / 'b' / '3.png'}, "
    )
    assert f"2 have colours, such as {tmp_path / 'a' / '1.png'}; give --channels=3 or --channels=1" in message


def test_grey_images_stay_grey(tmp_path):
    made = photos.fill(tmp_path / "photos", "a/1.png", "b/2.png", channels=1)
    builder = folder.builder(_asked(tmp_path / "photos", tmp_path / "cache"))
    assert builder.info.features["image"].shape == (6, 8, 1)
    image, _ = _read(builder)[_ids(tmp_path / "photos")["a/1.png"]]
    np.testing.assert_array_equal(image[..., 0], made["a/1.png"])


@pytest.fixture
def damaged(tmp_path):
    """A folder with one file that has no header, one that is cut short, and one that is a link to nothing."""
    root = tmp_path / "photos"
    photos.fill(root, "a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/5.png", height=40)
    (root / "a" / "1.png").write_bytes(b"no image")
    path = root / "b" / "3.png"
    path.write_bytes(path.read_bytes()[:-400])
    (root / "b" / "6.png").symlink_to(root / "none")
    return root


def test_unreadable_files_are_left_out_up_to_a_number_and_listed(damaged, tmp_path, capsys):
    builder = folder.builder(_asked(damaged, tmp_path / "cache", max_unreadable=3))
    ids = _ids(damaged)
    assert set(_read(builder)) == {ids["a/2.png"], ids["b/4.png"], ids["b/5.png"]}
    listed = pathlib.Path(builder.data_dir).parent / "unreadable.txt"
    assert f"3 cannot be read and are left out: {listed}" in capsys.readouterr().out
    lines = listed.read_text().splitlines()
    assert lines == [
        f"{damaged}/a/1.png: no image, or damaged",
        f"{damaged}/b/6.png: no file, or a link to none",
        f"{damaged}/b/3.png: no image, or damaged",
    ]
    folder.builder(_asked(damaged, tmp_path / "cache", max_unreadable=3))
    assert "3 cannot be read and are left out" in capsys.readouterr().out


@pytest.mark.parametrize(("limit", "found"), [(0, 2), (1, 2), (2, 3)])
def test_more_unreadable_files_are_refused_and_leave_nothing_prepared(damaged, tmp_path, limit, found):
    message = _refusal(_asked(damaged, tmp_path / "cache", max_unreadable=limit))
    (listed,) = tmp_path.glob("cache/folder/*/unreadable.txt")
    assert message == (
        f"--data_dir: {found} of the 6 images of {damaged} cannot be read (the first: {damaged}/a/1.png: no "
        f"image, or damaged; all: {listed}); repair or remove them, or allow more with --max_unreadable (now "
        f"{limit})"
    )
    assert len(listed.read_text().splitlines()) == found
    assert sorted(entry.name for entry in listed.parent.iterdir()) == ["1.1.0.lock", "unreadable.txt"]


@pytest.mark.parametrize("names", [("a/1.png", "a/2.png"), ("b/3.png", "b/4.png", "b/5.png")])
def test_a_class_of_unreadable_files_is_refused_whatever_the_number(damaged, tmp_path, names):
    for name in names:
        content = (damaged / name).read_bytes()
        # Without a header, or with one and cut short.
        (damaged / name).write_bytes(b"" if name[0] == "a" else content[:200])
    message = _refusal(_asked(damaged, tmp_path / "cache", max_unreadable=9))
    assert message.startswith(f"--data_dir: no image of the class {names[0][0]} can be read: ")


@pytest.mark.parametrize("more", [{}, {"image_size": (4, 4)}])
def test_a_folder_of_which_nothing_can_be_read_says_so(tmp_path, more):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"no image")
    message = _refusal(_asked(tmp_path, tmp_path / "cache", **more))
    assert message.startswith("--data_dir: no image of train can be read: 2 of the 2 images of ")


def test_no_folder_given_is_one_line(tmp_path):
    assert _refusal(_asked("", tmp_path)).startswith("--data_dir: give the folder of images")


def test_images_of_a_microscope_keep_their_greys(tmp_path, rng, capsys):
    made = {}
    for name, label in (("a/1.png", 0), ("a/2.png", 0), ("b/1.png", 1)):
        values = rng.integers(0, 4096, (6, 8, 1)).astype(np.uint16)
        values[0, 0] = 4095
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(values).numpy())
        made[name] = (values >> 4, label)
    found = _read(folder.builder(_asked(tmp_path / "photos", tmp_path / "cache")))
    for name, one in _ids(tmp_path / "photos").items():
        np.testing.assert_array_equal(found[one][0], made[name][0])
    assert "values of 16 bits, the largest of all is 4,095: taken for 12 bits" in capsys.readouterr().out
