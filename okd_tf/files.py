"""Atomic files: written as a whole or not at all, with errors that name the file.

A write goes to a temporary name in the same folder, is flushed to the disk and renamed over the target, and
the folder is flushed too: a killed process, a full disk or a power cut leaves the old file or the new one.
"""

import contextlib
import errno
import glob
import hashlib
import itertools
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator

from okd_tf import errors, stopping

PathLike = str | os.PathLike[str]

_PATTERN = re.compile(r"[\[\]\\?*]")
_PARTIAL = ".partial-"  # what the name of a file begins with while it is written
_MINE = f"{_PARTIAL}{secrets.token_hex(4)}-"  # the same of this process, where others may write the same file
_ANYONE_S = f"{_PARTIAL}????????-"


class _Own(threading.local):
    """Per-thread state: the checks to call before each write."""

    checks: tuple[Callable[[], None], ...] = ()


_own = _Own()


@contextlib.contextmanager
def owned(check: Callable[[], None]) -> Iterator[None]:
    """Call `check()` before each file is written or removed inside the block.

    An exception of `check()` leaves the file unchanged: this process no longer owns it. Temporary names
    inside the block are unique to this process, since the new owner may be writing the same file.
    """
    before = _own.checks
    _own.checks = (*before, check)
    try:
        yield
    finally:
        _own.checks = before


def _ask() -> None:
    for check in _own.checks:
        check()


def _temporary(path: pathlib.Path) -> pathlib.Path:
    """Return the temporary path of a file; remove leftovers there, and those of former owners of the file."""
    temporary = path.with_name(f"{_MINE if _own.checks else _PARTIAL}{path.name}")
    _remove(temporary)
    if _own.checks:
        for left in path.parent.glob(f"{_ANYONE_S}{glob.escape(path.name)}"):
            with contextlib.suppress(FileNotFoundError):
                _remove(left)
    return temporary


@contextlib.contextmanager
def replacing(path: PathLike, flag: str = "--workdir") -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`; on a clean exit, rename it to `path` (file or folder).

    The temporary name ends as `path` does, since several writers choose their format by the suffix.

    Args:
        path: the target.
        flag: the flag that chose it, for the message.

    Raises:
        UserError: the file system refuses (disk full, no permission); `path` is then unchanged.
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        _ask()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        yield temporary
        with stopping.deferred():
            _flush(temporary)
            _ask()
            _take_the_place(temporary, path)
            _flush_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                _remove(temporary)
        refusal = refusal_in(error)
        if refusal:
            # Who took the file over has removed what was written of it.
            _ask()
            raise write_error(path, refusal, flag) from error
        raise


def _take_the_place(temporary: pathlib.Path, path: pathlib.Path) -> None:
    old = path.with_name(f".replaced-{path.name}")
    _remove(old)
    if path.is_dir():
        # A folder cannot be renamed over another: for an instant there is neither, but never half of one.
        os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise
    _remove(old)


def _flush(path: pathlib.Path) -> None:
    """Flush a file, or all files in a folder, to the disk; do not follow symbolic links."""
    if path.is_symlink():
        return
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    elif path.is_dir():
        for entry in path.iterdir():
            _flush(entry)
        _flush_folder(path)


def _flush_folder(folder: pathlib.Path) -> None:
    """Flush the directory entries of a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems, such as those of other hosts, have no such call.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ESTALE, errno.EMFILE, errno.ENAMETOOLONG),
)


def refusal_in(error: BaseException) -> OSError | None:
    """Return the OSError behind an exception: itself, or the one that TensorFlow has wrapped; else None.

    TensorFlow has exception types of its own, two for three of the system's, and puts the system's message
    after the name of the file.
    """
    if isinstance(error, OSError):
        return error
    said = str(getattr(error, "message", "")).partition("\n")[0].rpartition("; ")[2]
    found = (number for number in _REFUSALS if said.startswith(os.strerror(number)))
    number = next(found, None)
    return OSError(number, os.strerror(number)) if number else None


@contextlib.contextmanager
def telling(path: PathLike) -> Iterator[None]:
    """Turn errors of the file system inside the block, which writes `path`, into one-line UserErrors."""
    try:
        yield
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is None:
            raise
        raise write_error(path, refusal) from error


def write_error(path: PathLike, error: OSError, flag: str = "--workdir") -> errors.UserError:
    """Return a one-line UserError for an OSError on writing `path`, which `flag` chose."""
    mend = f"choose another {flag}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some space, and the same command goes on"
    elif error.errno == errno.EFBIG:
        mend = "raise the limit on the size of files (ulimit -f), and the same command goes on"
    return errors.UserError(f"cannot write {path}: {error.strerror or error}; {mend}")


@contextlib.contextmanager
def literal(path: PathLike) -> Iterator[str]:
    """Yield a name of `path` without characters that libraries interpret as patterns.

    TensorFlow finds checkpoints and SavedModels by glob patterns: with brackets, backslashes, question marks
    or asterisks in the path it does not find what it has written. A path without these is yielded unchanged;
    else the name goes through an open descriptor of the nearest existing folder. `path` need not exist; its
    part below that folder must be free of these characters.

    Raises:
        OSError: the folder cannot be opened.
    """
    path = pathlib.Path(path).absolute()
    if not _PATTERN.search(str(path)):
        yield str(path)
        return
    folder = next(one for one in (path, *path.parents) if one.is_dir())
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(pathlib.Path(f"/proc/self/fd/{descriptor}", path.relative_to(folder)))
    finally:
        os.close(descriptor)


def remove(path: PathLike) -> None:
    """Remove a file, or a folder with its content; do nothing if it does not exist."""
    _ask()
    _remove(pathlib.Path(path))


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(folder: PathLike) -> None:
    """Remove the temporary files that killed writes have left in a folder."""
    for path in pathlib.Path(folder).glob(f"{_PARTIAL}*"):
        remove(path)


def set_aside(path: PathLike) -> pathlib.Path:
    """Rename a file or folder to the first free of `<name>.old`, `<name>.old1`, ...; return the new name."""
    _ask()
    path = pathlib.Path(path)
    names = (path.with_name(f"{path.name}.old{number or ''}") for number in itertools.count())
    free = next(name for name in names if not name.exists())
    os.replace(path, free)
    return free


def write_text(path: PathLike, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        UserError: the file system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_line(path: PathLike, line: str) -> None:
    """Append a line to a text file and flush it to the disk; a kill leaves at most a part of this line.

    A partial line left by a kill is ended first, so that no two lines run together.

    Raises:
        UserError: the file system refuses.
    """
    _ask()
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else f"\n{line}"
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            _flush_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file's bytes, or of every file below a folder with its relative name."""
    path = pathlib.Path(path)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def refuse_unwritable(path: PathLike, flag: str) -> None:
    """Raise UserError, naming the flag, unless a file can be written at `path`; leave nothing there."""
    path = pathlib.Path(path).absolute()
    nearest = next(one for one in path.parents if one.exists())
    why = "is a folder" if path.is_dir() else ""
    try:
        # Permissions do not tell of file systems that nobody may write to.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        why = f"cannot be written: {nearest}: {error.strerror}"
    if why:
        raise errors.UserError(f"{flag}: {path} {why}; name a file in a folder that can be written to")


def require_space(folder: PathLike, size_bytes: int, what: str, flag: str = "--workdir") -> None:
    """Raise UserError unless the disk of `folder`, which `flag` chose, has `size_bytes` free."""
    folder = pathlib.Path(folder)
    free = shutil.disk_usage(
        next(path for path in (folder, *folder.absolute().parents) if path.exists())
    ).free
    if free < size_bytes:
        raise errors.UserError(
            f"{folder}: {what} needs {size_bytes / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free; "
            f"free space or change {flag}"
        )
