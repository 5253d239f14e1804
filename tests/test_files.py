"""Files are written whole or not at all, and read with errors that name them."""

import errno
import hashlib
import os
import shutil

import pytest

from okd_tf import errors, files


def test_a_written_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    files.write_text(path, "first")
    files.write_text(path, "second\n")
    assert path.read_bytes() == b"second\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half():
        with files.replacing(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix_and_the_folder(tmp_path):
    with files.replacing(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path
        assert temporary.name != "model.keras"
        temporary.write_text("")


def test_what_a_killed_process_left_is_not_in_the_way(tmp_path):
    with files.replacing(tmp_path / "a") as temporary:
        name = temporary.name
        temporary.write_text("x")
    (tmp_path / name).mkdir()
    (tmp_path / name / "rest").write_text("")
    files.write_text(tmp_path / "a", "y")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _nothing():
    """Who owns files, and is never asked in vain."""


def test_of_a_file_that_others_may_come_to_write_temporary_names_are_a_process_s_own(tmp_path):
    def names():
        with files.replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("")
            return temporary.name

    with files.owned(_nothing):
        own = names()
    assert own != names()
    assert own.startswith(".partial-")
    assert own.endswith("-a.txt")


def test_what_others_left_of_an_owned_file_and_of_no_other_is_removed(tmp_path):
    (tmp_path / ".partial-01234567-a.txt").write_text("left")
    (tmp_path / ".partial-01234567-a[.txt").mkdir()
    (tmp_path / ".partial-01234567-b.txt").write_text("of another")
    with files.owned(_nothing):
        files.write_text(tmp_path / "a.txt", "a")
        files.write_text(tmp_path / "a[.txt", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-01234567-b.txt", "a.txt", "a[.txt"]


def test_a_file_that_is_not_owned_any_more_stays_as_others_write_it(tmp_path):
    path, owned = tmp_path / "a.txt", [True]

    def check():
        if not owned[0]:
            raise LookupError

    def write():
        with files.replacing(path) as temporary:
            temporary.write_text("mine")
            owned[0] = False
            path.write_text("another's")

    with files.owned(check), pytest.raises(LookupError):
        write()
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_written_of_a_file_that_was_taken_over_is_not_missed_as_by_a_bad_disk(
    tmp_path,
):
    owned = [True]

    def check():
        if not owned[0]:
            raise LookupError

    def write():
        with files.replacing(tmp_path / "folder") as temporary:
            owned[0] = False
            (temporary / "in a folder that is gone").write_text("")

    with files.owned(check), pytest.raises(LookupError):
        write()


def test_a_folder_is_replaced_with_all_in_it(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "old").write_text("")
    with files.replacing(tmp_path / "saved") as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("")
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["new"]


def _saved(folder, name):
    (folder / "saved").mkdir()
    (folder / "saved" / name).write_text("")
    return folder / "saved"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_a_folder_is_kept_until_the_new_one_is_whole(tmp_path, error):
    path = _saved(tmp_path, "old")

    def half():
        with files.replacing(path) as temporary:
            temporary.mkdir()
            (temporary / "new").write_text("")
            assert (path / "old").exists()
            raise error

    with pytest.raises((KeyboardInterrupt, errors.UserError)):
        half()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_whose_new_one_cannot_take_its_place_is_put_back(tmp_path, monkeypatch):
    path = _saved(tmp_path, "old")
    replace = os.replace

    def refuse(source, target):
        if "partial" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    def write():
        with files.replacing(path) as temporary:
            temporary.mkdir()
            monkeypatch.setattr(os, "replace", refuse)

    with pytest.raises(errors.UserError, match="Input/output error"):
        write()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_a_killed_process_left_between_two_names_is_not_in_the_way(tmp_path):
    path = _saved(tmp_path, "old")
    shutil.copytree(path, tmp_path / ".replaced-saved")
    with files.replacing(path) as temporary:
        temporary.mkdir()
    assert list(path.iterdir()) == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "space"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (errno.EROFS, False)],
)
def test_space_is_advised_only_where_it_is_what_lacks(tmp_path, number, space):
    def refused():
        with files.replacing(tmp_path / "a.txt"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(errors.UserError) as refusal:
        refused()
    message = str(refusal.value)
    assert message.startswith(f"cannot write {tmp_path / 'a.txt'}: {os.strerror(number)}; ")
    assert ("free some space" in message) == space
    assert ("choose another --workdir" in message) == (not space)


def test_what_is_set_aside_never_takes_the_place_of_what_was_before(tmp_path):
    names = ["made.old", "made.old1", "made.old2"]
    for name in names:
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / f"then_{name}").write_text("")
        assert files.set_aside(tmp_path / "made") == tmp_path / name
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert [path.name for path in (tmp_path / name).iterdir()] == [f"then_{name}"]


def test_the_first_free_name_is_taken_for_a_file_too(tmp_path):
    for name in ("made.old", "made.old2", "made"):
        (tmp_path / name).write_text(name)
    assert files.set_aside(tmp_path / "made") == tmp_path / "made.old1"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "made.old": "made.old",
        "made.old1": "made",
        "made.old2": "made.old2",
    }


def test_nothing_cannot_be_set_aside(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.set_aside(tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_refuses_is_a_user_s_error_that_names_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full():
        with files.replacing(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(errors.UserError, match=f"cannot write {path}: No space left on device"):
        full()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(errors.UserError, match="cannot write"):
        files.write_text(path / "below a file", "")


def test_removing_takes_files_folders_and_nothing(tmp_path):
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name in ("folder", "file", "not there"):
        files.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_removing_a_link_leaves_what_it_points_to(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kept").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    files.remove(tmp_path / "link")
    assert (tmp_path / "data" / "kept").exists()
    assert not (tmp_path / "link").exists()


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_sha256_of_a_folder_depends_on_names_and_contents_of_all_in_it(tmp_path):
    def folder(name, **contents):
        for path, text in contents.items():
            files.write_text(tmp_path / name / "sub" / path, text)
        return files.sha256(tmp_path / name)

    one = folder("one", a="1", b="2")
    assert folder("same", b="2", a="1") == one
    others = [folder("content", a="1", b="3"), folder("name", a="1", c="2"), folder("fewer", a="1")]
    assert len({one, *others}) == 4


def test_too_little_space_is_refused_with_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 7, 3 * 2**20))
    files.require_space(tmp_path / "new", 3 * 2**20, "it")
    with pytest.raises(errors.UserError, match="it needs 4 MiB and 3 MiB are free"):
        files.require_space(tmp_path, 4 * 2**20, "it")


def test_whether_a_file_may_be_written_is_found_out_without_a_trace(tmp_path):
    old = tmp_path / "old.json"
    old.write_text("old")
    for path in (old, tmp_path / "new.json", tmp_path / "a" / "b.json"):
        files.refuse_unwritable(path, "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "old"
    for path, why in ((tmp_path, "is a folder"), (old / "in_a_file.json", "cannot be written")):
        with pytest.raises(errors.UserError, match=f"^--json: {path} {why}.*name a file in a folder"):
            files.refuse_unwritable(path, "--json")


class _OfTensorFlowError(Exception):
    """As TensorFlow says that the disk refuses: in its own types, with the system's words."""

    message = "runs/logs/events.v2; No space left on device\n\tFailed to flush 3 events"


def test_what_another_library_makes_of_a_full_disk_is_the_same_one_line(tmp_path):
    with (
        pytest.raises(errors.UserError, match="logs: No space left on device; free some space"),
        files.telling(tmp_path / "logs"),
    ):
        raise _OfTensorFlowError


def test_what_is_not_of_the_disk_is_left_as_it_is(tmp_path):
    with pytest.raises(KeyError), files.telling(tmp_path):
        raise KeyError("a")


@pytest.mark.parametrize("name", ["a[b]", "a\\b", "a*", "a?"])
def test_a_literal_name_leads_to_the_same_file_and_has_nothing_of_a_pattern(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    with files.literal(folder / "new" / "a.txt") as literal:
        assert not set("[]\\?*") & set(literal)
        os.mkdir(os.path.dirname(literal))
        with open(literal, "w", encoding="utf-8") as file:
            file.write("x")
    assert (folder / "new" / "a.txt").read_text() == "x"


def test_a_name_that_is_no_pattern_is_literal_already(tmp_path):
    with files.literal(tmp_path / "a b") as literal:
        assert literal == str(tmp_path / "a b")
