"""A network's files are its own: links are copied as what they lead to, or refused if they are no files."""

import os

import pytest

from okd_tf import errors
from okd_tf.teachers import formats, teacher


@pytest.fixture
def saved(tmp_path):
    """What has the form of a SavedModel, some of it by way of links to elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "data").write_text("weights")
    folder = tmp_path / "mine"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "variables.data").symlink_to(tmp_path / "elsewhere" / "data")
    return folder


def test_a_copy_needs_nothing_that_its_links_led_to(saved, tmp_path):
    target = tmp_path / "run" / "teacher_00.keras"
    before = teacher.content_hash(saved)
    teacher.copy(saved, target)
    copied = target.with_suffix("")
    assert not any(one.is_symlink() for one in copied.rglob("*"))
    (copied / "variables" / "variables.data").write_text("other")
    assert (tmp_path / "elsewhere" / "data").read_text() == "weights"
    assert teacher.content_hash(saved) == before


def test_a_link_to_a_teacher_is_copied_as_the_teacher(tmp_path):
    (tmp_path / "real.keras").write_text("network")
    (tmp_path / "mine.keras").symlink_to(tmp_path / "real.keras")
    teacher.copy(tmp_path / "mine.keras", tmp_path / "run" / "teacher_00.keras")
    assert not (tmp_path / "run" / "teacher_00.keras").is_symlink()
    (tmp_path / "run" / "teacher_00.keras").write_text("other")
    assert (tmp_path / "real.keras").read_text() == "network"


def test_what_is_copied_replaces_a_link_and_not_what_it_leads_to(saved, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "run" / "teacher_00").symlink_to(tmp_path / "kept")
    (tmp_path / "run" / "teacher_00.json").symlink_to(tmp_path / "kept.json")
    (tmp_path / "mine.json").write_text("{}")
    teacher.copy(saved, tmp_path / "run" / "teacher_00.keras")
    assert list((tmp_path / "kept").iterdir()) == []
    assert not (tmp_path / "kept.json").exists()


def _to_nowhere(folder):
    (folder / "assets").symlink_to(folder.parent / "gone")
    return folder / "assets"


def _to_a_folder(folder):
    (folder / "assets").symlink_to(folder.parent / "elsewhere")
    return folder / "assets"


def _in_a_circle(folder):
    (folder / "variables" / "all").symlink_to(folder)
    return folder / "variables" / "all"


def _of_a_pipe(folder):
    os.mkfifo(folder / "variables" / "pipe")
    return folder / "variables" / "pipe"


def _to_a_device(folder):
    (folder / "zero").symlink_to("/dev/zero")
    return folder / "zero"


@pytest.mark.parametrize("made", [_to_nowhere, _to_a_folder, _in_a_circle, _of_a_pipe, _to_a_device])
def test_what_is_no_file_is_refused_by_its_name_before_anything_is_copied(saved, tmp_path, made):
    path = made(saved)
    for use in (
        formats.contents,
        teacher.content_hash,
        lambda given: teacher.copy(given, tmp_path / "run" / "teacher_00.keras"),
    ):
        with pytest.raises(errors.UserError) as refusal:
            use(saved)
        assert str(refusal.value).startswith(f"{path}")
        assert "not a file" in str(refusal.value)
    assert not (tmp_path / "run" / "teacher_00").exists()


def test_a_link_to_no_teacher_is_refused_by_its_name(tmp_path):
    (tmp_path / "mine.keras").symlink_to(tmp_path / "gone.keras")
    with pytest.raises(errors.UserError, match=r"mine\.keras \(a link to .*gone\.keras\): not a file"):
        teacher.content_hash(tmp_path / "mine.keras")
