"""Preparations that are killed, stopped or refused by the disk: what is found is whole, or not there."""

import errno
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time

import filelock
import photos
import pytest

from okd_tf import errors, stopping
from okd_tf.data import folder, once
from okd_tf.sources import request

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def asked(tmp_path):
    photos.fill(tmp_path / "photos", "a/1.png", "a/2.png", "b/3.png", "b/4.png", height=100, width=100)
    return request.Request("folder", data_dir=str(tmp_path / "photos"), cache_dir=str(tmp_path / "cache"))


def _configuration(asked):
    """The folder of what is prepared, which exists once something was begun."""
    (found,) = (asked.cache / "folder").iterdir()
    return found


def _left(asked):
    return sorted(entry.name for entry in _configuration(asked).iterdir() if entry.suffix != ".lock")


def _fail(monkeypatch, error):
    """Has the third image that is prepared raise an error; gives what undoes that."""
    seen = []

    def png(builder, given):
        seen.append(given)
        if len(seen) == 3:
            raise error
        return _png(builder, given)

    from okd_tf.data.folder import folder_dataset_builder as definition

    _png = definition.Builder._png
    monkeypatch.setattr(definition.Builder, "_png", png)
    return lambda: monkeypatch.setattr(definition.Builder, "_png", _png)


@pytest.mark.parametrize("error", [stopping.Stopped(signal.SIGTERM), ValueError("a fault of the program")])
def test_a_preparation_that_ends_early_leaves_nothing_and_starts_over(asked, error, monkeypatch, capfd):
    mended = _fail(monkeypatch, error)
    with pytest.raises(type(error)):
        folder.builder(asked)
    assert _left(asked) == []
    mended()
    assert folder.builder(asked).info.splits["train"].num_examples == 4
    assert _left(asked) == [folder.VERSION]


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "No space left on device; free some space, and the same command goes on"),
        (errno.EROFS, "Read-only file system; choose another --cache_dir"),
    ],
)
def test_what_the_disk_refuses_is_one_line(asked, number, mend, monkeypatch, capfd):
    _fail(monkeypatch, OSError(number, os.strerror(number)))
    with pytest.raises(errors.UserError) as refusal:
        folder.builder(asked)
    assert str(refusal.value) == f"cannot write {_configuration(asked) / folder.VERSION}: {mend}"
    assert _left(asked) == []


def test_what_the_disk_refuses_to_the_writer_of_records_is_one_line(asked, capfd):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(errors.UserError) as refusal:
            folder.builder(asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(refusal.value).startswith(
        f"cannot write {_configuration(asked) / folder.VERSION}: File too large;"
    )
    assert _left(asked) == []


def test_a_cache_that_nothing_can_be_written_to_is_one_line(asked):
    asked.cache.write_text("a file")
    with pytest.raises(errors.UserError, match=r"^cannot write .*; choose another --cache_dir$"):
        folder.builder(asked)


def test_who_wants_the_same_waits_for_it_and_does_not_do_it_again(asked, capsys):
    there = pathlib.Path(folder.builder(asked).data_dir)
    aside = there.rename(there.with_name("aside"))
    begun = threading.Event()

    def prepare():
        with filelock.FileLock(there.with_name(f"{there.name}.lock")):
            begun.set()
            time.sleep(0.2)
            aside.rename(there)

    other = threading.Thread(target=prepare)
    other.start()
    begun.wait()
    found = once.prepared(asked, str(there.relative_to(asked.cache)), make=None)
    other.join()
    assert found.info.splits["train"].num_examples == 4
    assert f"data: folder: waiting for another run that is preparing {there}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "metadata.json"])
def test_a_damaged_description_is_one_line_that_says_what_to_do(asked, name):
    there = pathlib.Path(folder.builder(asked).data_dir)
    (there / name).write_bytes(b"\xff")
    with pytest.raises(errors.UserError) as refusal:
        folder.builder(asked)
    message = str(refusal.value)
    assert message.startswith(f"--cache_dir: {there}: cannot be read (")
    assert message.endswith("; delete that folder, and it is prepared again")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_preparation_that_is_killed_starts_over(tmp_path):
    root = tmp_path / "photos"
    photos.fill(
        root, *(f"{name}/{number}.png" for name in "ab" for number in range(75)), height=300, width=300
    )
    program = (
        "import sys; from okd_tf.data import folder; from okd_tf.sources import request;"
        "photos, cache = sys.argv[1:];"
        "folder.builder(request.Request('', data_dir=photos, cache_dir=cache, image_size=(200, 200)))"
    )
    command = [sys.executable, "-c", program, str(root), str(tmp_path / "cache")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/folder/*/.partial-*/tfds/folder/*/incomplete.*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    asked = request.Request(
        "folder", data_dir=str(root), cache_dir=str(tmp_path / "cache"), image_size=(200, 200)
    )
    assert _left(asked) == [f".partial-{folder.VERSION}"]
    assert folder.builder(asked).info.splits["train"].num_examples == 150
    assert _left(asked) == [folder.VERSION]
