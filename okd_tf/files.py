"""Files that never lie: written whole or not at all, refused with errors that name the file.

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
    """Of each thread: what is asked before it writes."""

    checks: tuple[Callable[[], None], ...] = ()


_own = _Own()


@contextlib.contextmanager
def owned(check: Callable[[], None]) -> Iterator[None]:
    """Within, files are written and removed only as long as they are this process's to write.

    `check()` is asked each time, and what it raises keeps the file as it is. Temporary names are this
    process's own, since another may have taken the file over and be writing it.
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
    """Where a file is written; what was left there, or by others who were to write it, is removed."""
    temporary = path.with_name(f"{_MINE if _own.checks else _PARTIAL}{path.name}")
    _remove(temporary)
    if _own.checks:
        for left in path.parent.glob(f"{_ANYONE_S}{glob.escape(path.name)}"):
            with contextlib.suppress(FileNotFoundError):
                _remove(left)
    return temporary


@contextlib.contextmanager
def replacing(path: PathLike, flag: str = "--workdir") -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; on a clean exit it takes the place of `path` (file or folder).

    The temporary name ends as `path` does, since several writers choose their format by the suffix.
    Raises UserError when the file system refuses (disk full, no permission); `path`, which `flag` chose, is
    then unchanged.
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
    """Has the system write a file, or all in a folder, to the disk; links, but not what they lead to."""
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
    """Has the system write the names in a folder to the disk."""
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
    """What the file system said, of an OSError or of the error that TensorFlow makes of one; None of others.

    TensorFlow has types of its own for it, two for three of the system's, and keeps the system's words after
    the name of the file.
    """
    if isinstance(error, OSError):
        return error
    said = str(getattr(error, "message", "")).partition("\n")[0].rpartition("; ")[2]
    found = (number for number in _REFUSALS if said.startswith(os.strerror(number)))
    number = next(found, None)
    return OSError(number, os.strerror(number)) if number else None


@contextlib.contextmanager
def telling(path: PathLike) -> Iterator[None]:
    """Within, what writes `path` in a way of its own, and to be told of in one line when the disk refuses."""
    try:
        yield
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is None:
            raise
        raise write_error(path, refusal) from error


def write_error(path: PathLike, error: OSError, flag: str = "--workdir") -> errors.UserError:
    """The one-line form of what the file system said about writing `path`, which `flag` chose."""
    mend = f"choose another {flag}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some space, and the same command goes on"
    elif error.errno == errno.EFBIG:
        mend = "raise the limit on the size of files (ulimit -f), and the same command goes on"
    return errors.UserError(f"cannot write {path}: {error.strerror or error}; {mend}")


@contextlib.contextmanager
def literal(path: PathLike) -> Iterator[str]:
    """Yields a name of `path` that libraries which read names as patterns take for what it is.

    TensorFlow looks for checkpoints and SavedModels by patterns, in which brackets, backslashes, question
    marks and asterisks stand for other characters, so that it does not find again what it has written. Where
    the path has none of these it is yielded as it is; else a name by way of an open descriptor of the nearest
    folder that is there, which has none. `path` need not be there; what is missing below that folder must
    have none of them.

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
    """Removes a file or a folder with all in it; nothing happens when there is none."""
    _ask()
    _remove(pathlib.Path(path))


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(folder: PathLike) -> None:
    """Removes from a folder what writes that were killed have left in it."""
    for path in pathlib.Path(folder).glob(f"{_PARTIAL}*"):
        remove(path)


def set_aside(path: PathLike) -> pathlib.Path:
    """Renames a file or folder to the first free of `<name>.old`, `<name>.old1`, ...; gives the new name."""
    _ask()
    path = pathlib.Path(path)
    names = (path.with_name(f"{path.name}.old{number or ''}") for number in itertools.count())
    free = next(name for name in names if not name.exists())
    os.replace(path, free)
    return free


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_line(path: PathLike, line: str) -> None:
    """Adds a line to a text file and flushes it to the disk; a kill leaves at most a part of this line.

    What a kill left of the line before is ended first, so that no two lines run together.
    Raises UserError when the file system refuses.
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
    """The SHA-256 of a file's bytes, or of every file below a folder with its relative name."""
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
    """Raises UserError, naming the flag, unless a file may be written at `path`; leaves nothing there."""
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
    """Raises UserError unless the disk of `folder`, which `flag` chose, has room for `size_bytes` more."""
    folder = pathlib.Path(folder)
    free = shutil.disk_usage(
        next(path for path in (folder, *folder.absolute().parents) if path.exists())
    ).free
    if free < size_bytes:
        raise errors.UserError(
            f"{folder}: {what} needs {size_bytes / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free; "
            f"free space or change {flag}"
        )
