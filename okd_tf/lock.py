"""A lock that admits one run at a time to a workdir.

The lock is the operating system's, on a file in the workdir: it is released the moment its owner ends, in
whatever way. A second file names the owner, for messages.
"""

import contextlib
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import filelock

from okd_tf import errors, fields, files, json_file

NAME, HOLDER = ".lock", ".holder.json"


@contextlib.contextmanager
def holding(workdir: files.PathLike) -> Iterator[None]:
    """Hold the lock of a workdir, which is created if missing, inside the block.

    A workdir that was created here and is still empty at the end is removed again.

    Raises:
        UserError: another run holds the lock, or nothing can be written there.
    """
    workdir = pathlib.Path(workdir)
    made = _missing(workdir)
    lock = filelock.FileLock(workdir / NAME)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise errors.UserError(
            f"--workdir: {workdir} is in use by {_holder(workdir)}; wait for it, stop it, or use another"
        ) from None
    except OSError as error:
        raise files.write_error(workdir, error) from None
    try:
        json_file.write(workdir / HOLDER, _this_process())
        yield
    finally:
        with contextlib.suppress(OSError):
            files.remove(workdir / HOLDER)
            _leave_as_found(workdir, made)
        lock.release()


def _missing(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders of a path that do not exist, the deepest first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _leave_as_found(workdir: pathlib.Path, made: list[pathlib.Path]) -> None:
    """Remove the folders that were created, if they are empty."""
    if workdir not in made or any(entry.name != NAME for entry in workdir.iterdir()):
        return
    (workdir / NAME).unlink()
    for folder in made:
        folder.rmdir()  # an error, where somebody else has put something there meanwhile


def _this_process() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": sys.argv}


def _holder(workdir: pathlib.Path) -> str:
    """Return the lock's owner in words; "another run" if it has not written its name yet."""
    try:
        holder = fields.read(workdir / HOLDER)
        return f"process {holder['pid'].whole()} on {holder['host'].text()[:80]}"
    except errors.UserError:
        return "another run"
