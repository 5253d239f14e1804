"""splits.csv: which image is in which split."""

import csv
import types

import photos
import pytest

from okd_tf import data, json_file, settings
from okd_tf.data import splits
from okd_tf.pipeline import context, split_file


def _rows(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def _write(tmp_path, **chosen):
    run = context.Context(settings.Settings(workdir=str(tmp_path / "run"), **chosen))
    split_file.write(run)
    return run, _rows(tmp_path / "run" / "splits.csv")


@pytest.mark.parametrize("split_folders", [False, True])
def test_files_of_a_folder_are_named_below_data_dir(tmp_path, split_folders):
    root = tmp_path / "photos"
    names = [f"{label}/{number}, x.png" for label in ("cat", "dog") for number in range(12)]
    train = "Training/" if split_folders else ""
    photos.fill(root, *(train + name for name in names))
    if split_folders:
        photos.fill(root, "test/cat/0, x.png", "test/dog/7.png")
    run, rows = _write(
        tmp_path, dataset="folder", data_dir=str(root), cache_dir=str(tmp_path / "cache"), val_examples=4
    )
    assert {row["image"] for row in rows} == {str(path.relative_to(root)) for path in root.rglob("*.png")}
    by_split = {split: [row for row in rows if row["split"] == split] for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in by_split.items()} == {
        "train": len(run.data.train),
        "val": 4,
        "test": 2,
    }
    assert {row["source"] for row in by_split["val"]} == {"train"}
    assert {row["source"] for row in by_split["test"]} == {"test" if split_folders else "train"}


def test_examples_of_other_datasets_are_named_by_their_ids(tmp_path):
    run, rows = _write(tmp_path, dataset="digits", train_examples=300)
    for split in ("train", "val", "test"):
        ids = [int(row["image"]) for row in rows if row["split"] == split]
        assert ids == getattr(run.data, split).ids.tolist()
    assert len(rows) == len(run.data.train) + len(run.data.val) + len(run.data.test)


def test_it_is_written_again_only_when_the_splits_are_others(tmp_path):
    source = data.load("digits")
    path = tmp_path / "splits.csv"

    def context_of(seed):
        carved = splits.carve(source, seed)
        asked = types.SimpleNamespace(requested=settings.Settings(workdir="x"), source=None)
        return types.SimpleNamespace(
            workdir=tmp_path, data=carved, split_record=carved.record(), **vars(asked)
        )

    split_file.write(context_of(0))
    first = path.read_bytes()
    json_file.write(tmp_path / "run.json", {"split": context_of(0).split_record})
    path.write_text("kept")
    split_file.write(context_of(0))
    assert path.read_text() == "kept"
    split_file.write(context_of(1))
    assert path.read_bytes() not in (b"kept", first)
