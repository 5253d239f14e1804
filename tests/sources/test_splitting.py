"""train/, val/ and test/ made of a folder of images."""

import csv
import errno
import pathlib
import subprocess
import sys

import photos
import pytest

from okd_tf import data, errors, files
from okd_tf.sources import splitting

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "split.py"


@pytest.fixture
def folder(tmp_path):
    """Twenty cats and ten dogs, the first three cats copies of one image."""
    root = tmp_path / "photos"
    photos.fill(root, *(f"cat/{number}.png" for number in range(20)), *(f"dog/{n}, é.png" for n in range(10)))
    for number in (1, 2):
        (root / "cat" / f"{number}.png").write_bytes((root / "cat" / "0.png").read_bytes())
    return root


def _made(out):
    """The files of each split and class."""
    return {
        split.name: {one.name: sorted(file.name for file in one.iterdir()) for one in split.iterdir()}
        for split in out.iterdir()
        if split.is_dir()
    }


@pytest.mark.parametrize("copies", [False, True])
def test_every_file_is_in_one_split_in_the_shares_that_are_asked_for(folder, tmp_path, copies):
    out = tmp_path / "new" / "out"
    sizes = splitting.split(str(folder), str(out), 0.2, 0.3, copies=copies)
    made = _made(out)
    counts = {name: {label: len(names) for label, names in part.items()} for name, part in made.items()}
    assert counts == {
        "train": {"cat": 10, "dog": 5},
        "val": {"cat": 4, "dog": 2},
        "test": {"cat": 6, "dog": 3},
    }
    assert sizes == {"train": 15, "val": 6, "test": 9}
    for label in ("cat", "dog"):
        names = sorted(name for part in made.values() for name in part[label])
        assert names == sorted(file.name for file in (folder / label).iterdir())
    for path in out.rglob("*.png"):
        assert path.is_symlink() != copies
        assert path.read_bytes() == (folder / path.parent.name / path.name).read_bytes()
    with open(out / "splits.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert all(row["image"].startswith(f"{row['split']}/") for row in rows)


def test_copies_of_an_image_are_in_one_split_whatever_the_seed(folder, tmp_path):
    made = []
    for seed in range(12):
        out = tmp_path / f"out{seed}"
        splitting.split(str(folder), str(out), 4, 5, seed)
        made.append(_made(out))
        assert (
            len({name for name, part in made[-1].items() if {"0.png", "1.png", "2.png"} & {*part["cat"]}})
            == 1
        )
    assert any(one != made[0] for one in made)


def test_the_same_seed_takes_the_same_images_wherever_they_lie(folder, tmp_path):
    moved = folder.rename(tmp_path / "moved")
    for number in (1, 2):
        splitting.split(str(moved), str(tmp_path / f"out{number}"), 0.2, 0.2)
    assert _made(tmp_path / "out1") == _made(tmp_path / "out2")


def test_what_is_made_is_read_as_a_dataset_with_splits_of_its_own(folder, tmp_path):
    out = tmp_path / "out"
    splitting.split(str(folder), str(out), 0, 0.2)
    source = data.load("folder", str(out), cache_dir=str(tmp_path / "cache"))
    assert (len(source.train), len(source.test), source.val) == (24, 6, None)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"val": 1.5}, r"--val: 1\.5 is neither a share below 1 nor a number"),
        ({"test": -1}, "--test: -1 is neither"),
        ({"test": float("nan")}, "--test: nan is neither"),
        ({"val": 0, "test": 0}, "--val, --test: both are 0"),
        ({"val": 0.5, "test": 0.5}, "--val, --test: .* leave nothing to train on"),
        ({"data_dir": ""}, "--data_dir: give"),
        ({"data_dir": "nowhere"}, "--data_dir: nowhere: no such folder"),
        ({"out": ""}, "--out: give"),
        ({"out": "{root}/new"}, "--out: .* lies in --data_dir="),
        ({"out": "{root}"}, "--out: .* is there already"),
        ({"test": 12}, "--test: the class dog has 10 images, 10 different: too few for 12"),
        ({"val": 5, "test": 5}, "--val, --test: the class dog has 10 images, 10 different: none is left"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_line_and_leaves_nothing(folder, tmp_path, asked, message):
    how = {"data_dir": "{root}", "out": str(tmp_path / "out"), "val": 0.1, "test": 0.1, **asked}
    how = {name: one.format(root=folder) if isinstance(one, str) else one for name, one in how.items()}
    with pytest.raises(errors.UserError, match=f"^{message}"):
        splitting.split(**how)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_one_image_in_two_classes_is_refused(folder, tmp_path):
    (folder / "dog" / "cat.png").write_bytes((folder / "cat" / "5.png").read_bytes())
    with pytest.raises(errors.UserError, match="are the same image in two classes"):
        splitting.split(str(folder), str(tmp_path / "out"), 0.2, 0.2)


def test_a_folder_that_has_splits_is_refused(folder, tmp_path):
    splitting.split(str(folder), str(tmp_path / "out"), 0.2, 0.2)
    with pytest.raises(errors.UserError, match="has splits already"):
        splitting.split(str(tmp_path / "out"), str(tmp_path / "again"), 0.2, 0.2)


def test_a_full_disk_leaves_nothing(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(splitting.shutil, "copy2", full)
    with pytest.raises(errors.UserError, match=r"^cannot write .*out: No space left on device; free some"):
        splitting.split(str(folder), str(tmp_path / "out"), 0.2, 0.2, copies=True)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_links_are_not_followed_where_a_folder_is_written(folder, tmp_path):
    """Originals may be read-only, on a disk of others: they are not opened for writing."""
    with files.replacing(tmp_path / "links") as temporary:
        temporary.mkdir()
        (temporary / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert (tmp_path / "links" / "gone.png").is_symlink()


def test_the_tool_says_what_it_made_and_refuses_in_one_line(folder, tmp_path):
    command = [sys.executable, str(TOOL), f"--data_dir={folder}", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("out: train 24, val 3, test 3\n")
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "is there already" in again.stderr
