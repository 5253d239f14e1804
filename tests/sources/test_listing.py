"""Which files of a folder are images of which class and split."""

import os

import photos
import pytest

from okd_tf import errors
from okd_tf.sources import listing, request


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not opened")
    return root


def _names(listed):
    return {split: [file.name for file in files] for split, files in listed.files.items()}


def _refusal(root):
    with pytest.raises(errors.UserError) as refusal:
        listing.read(root)
    message = str(refusal.value)
    with pytest.raises(errors.UserError) as first_refusal:
        listing.look(request.Request("folder", data_dir=str(root)))
    assert str(first_refusal.value) == message
    assert message.startswith("--data_dir: ")
    assert "\n" not in message
    return message


def test_each_folder_is_a_class_and_those_below_it_are_of_it(tmp_path):
    _touch(tmp_path, "dog/1.png", "cat/2.JPG", "cat/more/deeper/3.webp", "cat/1.bmp")
    listed = listing.read(tmp_path)
    assert listed.class_names == ("cat", "dog")
    assert _names(listed) == {"train": ["cat/1.bmp", "cat/2.JPG", "cat/more/deeper/3.webp", "dog/1.png"]}
    assert [file.label for file in listed.files["train"]] == [0, 0, 0, 1]
    assert listed.single() == ["dog"]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "testing")])
def test_folders_called_so_are_splits(tmp_path, train, val, test):
    _touch(tmp_path, f"{train}/a/1.png", f"{train}/b/1.png", f"{val}/a/1.png", f"{test}/b/2.png")
    listed = listing.read(tmp_path)
    assert listed.class_names == ("a", "b")
    assert _names(listed) == {"train": ["a/1.png", "b/1.png"], "val": ["a/1.png"], "test": ["b/2.png"]}


def test_val_and_test_may_be_missing(tmp_path):
    _touch(tmp_path, "train/a/1.png", "train/b/1.png")
    assert _names(listing.read(tmp_path)) == {"train": ["a/1.png", "b/1.png"]}


def test_a_class_may_be_called_like_a_split(tmp_path):
    _touch(tmp_path, "train/1.png", "train/steam/2.png", "plane/1.png")
    listed = listing.read(tmp_path)
    assert listed.class_names == ("plane", "train")
    assert _names(listed) == {"train": ["plane/1.png", "train/1.png", "train/steam/2.png"]}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_that_could_be_both_is_refused(tmp_path, split):
    _touch(tmp_path, f"{split}/cat/1.png", f"{split}/dog/1.png", "cat/1.png", "dog/1.png")
    message = _refusal(tmp_path)
    assert f"{tmp_path}: {split}/ could be a split or a class, beside cat/, dog/" in message


def test_ids_are_of_names_below_the_split_and_positive(tmp_path):
    _touch(tmp_path / "flat", "a/1.png", "b/x/1.png")
    _touch(tmp_path / "split", "train/a/1.png", "train/b/x/1.png", "train/a/0.png", "test/a/1.png")
    flat, split = (listing.read(tmp_path / name).files for name in ("flat", "split"))
    ids = {file.name: file.id for file in split["train"]}
    assert len(set(ids.values())) == 3
    assert {file.name: file.id for file in flat["train"]}.items() <= ids.items()
    assert [file.id for file in split["test"]] == [ids["a/1.png"]]
    assert all(0 <= id_ < 2**63 for id_ in ids.values())
    # printf a/1.png | b2sum -l 64, without its last bit: they must stay what they are.
    assert ids["a/1.png"] == 4612523783049374235


def test_names_that_only_look_the_same_share_an_id_and_are_refused(tmp_path):
    _touch(tmp_path, "a/\u00e9.png", "a/e\u0301.png", "b/1.png")
    if len(list((tmp_path / "a").iterdir())) < 2:
        pytest.skip("this file system takes both for one name")
    with pytest.raises(errors.UserError, match=r"^--data_dir: .* have the same id"):
        listing.read(tmp_path)


def test_what_is_no_image_is_ignored_and_counted(tmp_path):
    _touch(tmp_path, "a/1.png", "b/1.png", "a/notes.txt", "b/c/notes.TXT", "a/.hidden.png", ".git/a.png")
    _touch(tmp_path, "README", "loose.png", "a/.cache/1.png", "b/scan.svg")
    listed = listing.read(tmp_path)
    assert _names(listed) == {"train": ["a/1.png", "b/1.png"]}
    assert listed.ignored == {".svg": 1, ".txt": 2, "hidden": 3, "in no class": 1, "without suffix": 1}
    assert listing.kinds({".txt": 2000, "hidden": 1}) == "2,000 .txt, 1 hidden"


def test_what_lies_beside_splits_and_beside_their_classes_is_counted(tmp_path):
    _touch(tmp_path, "train/a/1.png", "train/b/1.png", "labels.csv", "train/loose.png", "train/.DS_Store")
    assert listing.read(tmp_path).ignored == {".csv": 1, "hidden": 1, "in no class": 1}


def test_links_are_followed_and_those_that_lead_back_are_not(tmp_path):
    _touch(tmp_path / "elsewhere", "1.png", "sub/2.png")
    _touch(tmp_path / "photos", "b/1.png")
    (tmp_path / "photos" / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "sub" / "back").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "photos" / "b" / "2.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    listed = listing.read(tmp_path / "photos")
    assert _names(listed) == {"train": ["a/1.png", "a/sub/2.png", "b/1.png", "b/2.png"]}
    assert listed.ignored == {"link that leads back": 1}


def test_a_link_to_a_folder_above_takes_no_images_of_other_classes(tmp_path):
    _touch(tmp_path, "photos/a/1.png", "photos/b/1.png")
    for name, target in (("up", tmp_path / "photos"), ("higher", tmp_path)):
        (tmp_path / "photos" / "a" / name).symlink_to(target, target_is_directory=True)
    listed = listing.read(tmp_path / "photos")
    assert _names(listed) == {"train": ["a/1.png", "b/1.png"]}
    assert listed.ignored == {"link that leads back": 2}
    (tmp_path / "photos" / "c").symlink_to(tmp_path / "photos", target_is_directory=True)
    assert "/c has no images (1 link that leads back)" in _refusal(tmp_path / "photos")


def test_a_link_to_nothing_and_a_pipe_are_listed_as_no_files(tmp_path):
    _touch(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "b" / "2.png")
    sizes = {file.name: file.size_bytes for file in listing.read(tmp_path).files["train"]}
    assert sizes == {"a/1.png": 10, "a/2.png": -1, "b/1.png": 10, "b/2.png": -1}


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ((), "has no folders; expected one folder of images for each of two classes or more"),
        (("1.png", "2.png"), "has no folders; expected one folder"),
        (("a/1.png",), "has one folder, a; expected"),
        (("photos/a/1.png", "photos/b/1.png"), "classes or more; did you mean --data_dir="),
        (("train/1.png", "train/2.png"), "train has images and no folders of classes; put them in "),
        (("train/1.png", "test/2.png"), "has images and no folders of classes"),
        (("val/a/1.png", "test/a/1.png"), "has test/, val/ and no train/; add it"),
        (("train/a/1.png", "train/b/1.png", "test/c/1.png"), "test has the class 'c', which train has not"),
        (("train/a/1.png", "train/b/1.png", "test/.x"), "test has no folders of classes"),
        (
            ("train/a/1", "train/b/1.png", "val/a/1.png", "valid/a/1.png"),
            "has val/ and valid/, which are one",
        ),
        (("a/1.png", "b/notes.txt", "b/x.svg"), "/b has no images (1 .svg, 1 .txt); expected images in it ("),
        (("a/1.png", "b/c/.x"), "/b has no images (1 hidden)"),
        (("a/1.png", " b/1.png"), "the class ' b' is no text of one line; rename its folder"),
        (("a/1.png", "b\nc/1.png"), "the class 'b\\nc' is no text of one line"),
    ],
)
def test_a_folder_that_has_no_classes_of_images_is_one_line(tmp_path, names, what):
    message = _refusal(_touch(tmp_path, *names))
    assert str(tmp_path) in message
    assert what in message


def test_an_empty_class_folder_is_named(tmp_path):
    photos.fill(tmp_path, "a/1.png", "c/1.png")
    (tmp_path / "b").mkdir()
    assert f"the class folder {tmp_path / 'b'} is empty; expected images in it" in _refusal(tmp_path)


def test_no_folder_is_one_line(tmp_path):
    assert f"{tmp_path / 'none'}: no such folder" in _refusal(tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'}: is no folder" in _refusal(tmp_path / "file")


SYSTEM = (
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "__MACOSX",
    "System Volume Information",
    "@Recycle",
    ".Trashes",
)


@pytest.mark.parametrize("name", SYSTEM)
def test_what_systems_leave_in_a_folder_is_no_class_and_has_no_images(tmp_path, name):
    plain = _touch(tmp_path / "plain", "a/1.png", "b/1.png")
    below = _touch(tmp_path / "below", "a/1.png", "b/1.png", f"a/{name}/1.png/THUMB_M.jpg", f"{name}/2.png")
    assert _names(listing.read(below)) == _names(listing.read(plain))
    assert listing.read(below).class_names == ("a", "b")
    split = _touch(
        tmp_path / "split", "train/a/1.png", "train/b/1.png", f"{name}/c/3.png", f"train/{name}/4.jpg"
    )
    assert _names(listing.read(split)) == {"train": ["a/1.png", "b/1.png"]}


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("train", "test"), [(NFC, NFD), (NFD, NFC)])
def test_a_class_is_known_in_either_unicode_form(tmp_path, train, test):
    _touch(tmp_path, f"train/{train}/1.png", "train/tea/1.png", "test/tea/1.png", f"test/{test}/2.png")
    listed = listing.read(tmp_path)
    assert listed.class_names == (train, "tea")
    labels = {file.name: file.label for file in listed.files["test"]}
    assert labels == {f"{test}/2.png": 0, "tea/1.png": 1}


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_folders_of_one_name_in_two_forms_are_refused(tmp_path, split):
    _touch(tmp_path, f"train/{NFC}/1.png", "train/tea/1.png", "test/tea/1.png")
    _touch(tmp_path, f"{split}/{NFC}/1.png", f"{split}/{NFD}/2.png")
    assert f"has two folders that are called {NFC}, in two Unicode forms" in _refusal(tmp_path)


def test_classes_that_a_split_has_no_image_of_are_named(tmp_path):
    names = ("train/a/1.png", "train/b/1.png", "train/c/1.png", "test/b/1.png")
    assert listing.read(_touch(tmp_path, *names)).missing() == {"test": ["a", "c"]}
