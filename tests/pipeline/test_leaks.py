"""Own teachers that may have been trained on what a run carves out: who is suspected, and what is said."""

import json

import photos
import pytest

from okd_tf import errors, json_file, settings
from okd_tf.data import splits
from okd_tf.pipeline import context, leaks, split_file
from okd_tf.sources import split_list
from okd_tf.teachers import folds


@pytest.fixture
def given(tmp_path):
    """A teacher from elsewhere; only its file and what lies beside it is looked at here."""
    path = tmp_path / "mine" / "a.keras"
    path.parent.mkdir()
    path.write_bytes(b"network")
    return path


@pytest.fixture
def run(tmp_path, given, digits):
    return _context(tmp_path, given, digits)


def _context(tmp_path, given, source, seed=0, **changes):
    run = context.Context(settings.Settings(workdir=str(tmp_path / "run"), teachers=(str(given),), **changes))
    run.data = splits.carve(source, seed)
    return run


def _declare(given, **declared):
    given.with_suffix(".json").write_text(json.dumps(declared))


def test_a_teacher_from_elsewhere_is_suspected_of_carved_splits_alone(run):
    assert run.data.carved == ("val",)  # the digits' test images are always the same
    assert leaks.suspects(run) == {"val": [True]}


def test_no_teacher_that_is_trained_here_is_suspected(tmp_path, digits):
    run = context.Context(settings.Settings(workdir=str(tmp_path)))
    run.data = splits.carve(digits, 0)
    assert leaks.suspects(run) == {}


def test_a_teacher_that_held_out_a_part_of_these_training_images_was_trained_here(run, given):
    (record,) = folds.assigned(run.data.train.ids, 1, 3, 0)
    _declare(given, held_out=record)
    assert leaks.suspects(run) == {}
    (foreign,) = folds.assigned(run.data.train.ids[1:], 1, 3, 0)
    _declare(given, held_out=foreign)
    assert leaks.suspects(run) == {"val": [True]}


def test_what_was_trained_by_the_splits_csv_of_the_run_is_not_suspected(run, given, tmp_path, digits):
    split_file.write(run)
    _declare(given, trained_on="../run/splits.csv")
    assert leaks.suspects(run) == {}
    # Another seed carves images that the teacher was trained on.
    assert leaks.suspects(_context(tmp_path, given, digits, seed=1)) == {"val": [True]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        ("image,split,source\n1,other,train\n", "has a row"),
        ("a,b\n1,2\n", "has a row"),
        ("image,split,source\n99999,train,train\n", "names none of this dataset's training images"),
    ],
)
def test_a_declaration_that_says_nothing_here_is_refused(run, given, content, why):
    if content:
        (given.parent / "splits.csv").write_text(content)
    _declare(given, trained_on="splits.csv")
    with pytest.raises(errors.UserError, match=rf"splits\.csv: {why}"):
        leaks.suspects(run)


@pytest.mark.parametrize("taken_over", [False, True])
def test_teachers_of_a_run_on_the_same_split_are_not_suspected(tmp_path, digits, taken_over):
    other = tmp_path / "other"
    path = other / "teachers" / "teacher_00.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"network")
    run = _context(tmp_path, path, digits)
    files = {"given teacher 1": "ab"} if taken_over else {}
    key = {"splits": run.split_record, "settings": {}, "files": files}
    json_file.write(other / "stages.json", {"teachers": {"key": key, "complete": True, "seconds": 1.0}})
    assert leaks.suspects(run) == ({"val": [True]} if taken_over else {})


def test_teachers_of_a_run_on_fewer_images_are_judged_by_its_splits_csv(tmp_path, digits):
    other = tmp_path / "other"
    path = other / "teachers" / "teacher_00.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"network")
    before = context.Context(settings.Settings(workdir=str(other), train_examples=200))
    split_file.write(before)
    key = {"splits": before.split_record, "settings": {}, "files": {}}
    json_file.write(other / "stages.json", {"teachers": {"key": key, "complete": True, "seconds": 1.0}})
    assert leaks.suspects(_context(tmp_path, path, digits)) == {}
    assert leaks.suspects(_context(tmp_path, path, digits, seed=1)) == {"val": [True]}


def test_the_splits_of_a_folder_say_what_was_trained_on_wherever_they_lie(tmp_path, given):
    """tools/split.py names train/CLASS/FILE; a run on the folder that it was made of, CLASS/FILE."""
    root = tmp_path / "photos"
    photos.fill(root, *(f"{label}/{number}.png" for label in ("cat", "dog") for number in range(12)))
    chosen = settings.Settings(
        workdir=str(tmp_path / "run"),
        teachers=(str(given),),
        dataset="folder",
        data_dir=str(root),
        cache_dir=str(tmp_path / "cache"),
    )
    run = context.Context(chosen)
    assert leaks.suspects(run) == {"val": [True], "test": [True]}
    split_file.write(run)
    rows = split_list.read(tmp_path / "run" / "splits.csv")
    moved = [f"{row['split']}/{row['image']},{row['split']},{row['split']}" for row in rows]
    (given.parent / "splits.csv").write_text("\n".join(["image,split,source", *moved]))
    _declare(given, trained_on="splits.csv")
    assert leaks.suspects(run) == {}


def _found(train, val, test):
    figures = {"train": train, "val": val, "test": test}
    return {"carved": {"val": [True]}, **{part: {"per_teacher": [share]} for part, share in figures.items()}}


def test_the_sentence_names_the_figures_and_says_what_they_are_worth(run):
    (said,) = leaks.warnings(run, _found(1.0, 1.0, 0.75))
    assert said.startswith("(!) the validation images were carved from the dataset's training images")
    assert "teacher 1 100.0 % here, 100.0 % on training images, 75.0 % on the test images" in said
    assert "it seems to REMEMBER the validation images" in said
    assert "tools/split.py" in said
    assert '"trained_on": "splits.csv"' in said
    (said,) = leaks.warnings(run, _found(1.0, 0.76, 0.75))
    assert "it does not know all of them by heart" in said
    (said,) = leaks.warnings(run, _found(0.76, 0.76, 0.75))
    assert "REMEMBER" not in said
    assert "by heart" not in said
