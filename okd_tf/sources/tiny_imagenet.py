"""Which TinyImageNet is meant: of the archive that is named, which is the original or a cut of it.

What is prepared of one archive is never mistaken for another's: it is called by the archive's checksum. That
is noted, so that an archive is read whole once, and is not needed any more when it is prepared.
"""

import contextlib
import pathlib

from okd_tf import errors, fields, files, json_file
from okd_tf.sources import archive
from okd_tf.sources.request import Request

NAME = "tiny_imagenet"
VERSION = "1.0.0"  # of the builder; another gives what is prepared another folder
FULL = "full"  # what is prepared of the original archive

_Note = tuple[str, int, int]  # checksum, size in bytes, time of change


def look(asked: Request) -> None:
    """Raises UserError if there is nothing to prepare it from, or the archive that is named is none of it.

    An archive of which all is prepared is not opened again.
    """
    if not asked.tiny_imagenet_zip:
        config(asked)
        return
    checksum = _noted(asked)
    if not checksum or not _is_prepared(asked, _config_of(checksum)):
        with archive.opened(_path(asked), called(asked)) as opened:
            opened.contents()


def config(asked: Request) -> str:
    """What that which is prepared of the archive is called; of no archive, what is prepared of the original.

    Raises:
        UserError: the archive cannot be read, or none is named and none was prepared.
    """
    if asked.tiny_imagenet_zip:
        return _config_of(_noted(asked) or _note(asked))
    if not asked.download and not _is_prepared(asked, FULL):
        raise errors.UserError(
            f"--tiny_imagenet_zip: no complete TinyImageNet is prepared in {asked.cache / NAME}; give the "
            f"path of tiny-imagenet-200.zip ({archive.URL}) or of a cut of it, or allow --download"
        )
    return FULL


def folder(name: str) -> str:
    """Where what is called so is prepared, below the folder of caches."""
    return f"{NAME}/{name}/{VERSION}"


def called(asked: Request) -> str:
    """What the archive is called in errors; "" if none is named."""
    return f"--tiny_imagenet_zip: {asked.tiny_imagenet_zip}" if asked.tiny_imagenet_zip else ""


def _config_of(checksum: str) -> str:
    return FULL if checksum == archive.SHA256 else f"zip_{checksum[:8]}"


def _is_prepared(asked: Request, name: str) -> bool:
    return (asked.cache / folder(name)).is_dir()


def _path(asked: Request) -> pathlib.Path:
    return pathlib.Path(asked.tiny_imagenet_zip).absolute()


def _noted(asked: Request) -> str:
    """The noted SHA-256 of the archive, if its size and time are as they were; one that is gone is as it was.

    Raises:
        UserError: it is not there and not noted, or is no file that can be read.
    """
    path = _path(asked)
    known = _notes(asked).get(str(path))
    try:
        status = path.stat()
    except FileNotFoundError:
        if known:
            return known[0]
        raise _no_archive(asked, "no such file") from None
    except OSError as error:
        raise _no_archive(asked, f"cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise _no_archive(asked, "is not a file")
    return known[0] if known and known[1:] == (status.st_size, status.st_mtime_ns) else ""


def _note(asked: Request) -> str:
    """Computes the SHA-256 of the archive, and notes it."""
    path = _path(asked)
    try:
        status = path.stat()
        checksum = files.sha256(path)
    except OSError as error:
        raise _no_archive(asked, f"cannot be read: {error.strerror}") from None
    notes = {**_notes(asked), str(path): (checksum, status.st_size, status.st_mtime_ns)}
    # Where nothing can be written, what is prepared can still be read.
    with contextlib.suppress(errors.UserError):
        json_file.write(_notes_path(asked), notes)
    return checksum


def _notes(asked: Request) -> dict[str, _Note]:
    """What was noted, by path; nothing if that is damaged."""
    try:
        noted = {path: entry.items(3) for path, entry in fields.read(_notes_path(asked)).entries().items()}
        return {
            path: (checksum.text(), size.whole(), time.whole())
            for path, (checksum, size, time) in noted.items()
        }
    except errors.UserError:
        return {}


def _notes_path(asked: Request) -> pathlib.Path:
    return asked.cache / NAME / "archives.json"


def _no_archive(asked: Request, why: str) -> errors.UserError:
    return errors.UserError(
        f"{called(asked)}: {why}; give the path of tiny-imagenet-200.zip ({archive.URL}), or of a cut of it"
    )
