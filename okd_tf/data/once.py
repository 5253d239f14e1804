"""Preparing a dataset through TFDS once, for all runs: by one of them at a time, and whole or not at all.

What is prepared has its name when all of it is on the disk. What a kill has left of one is removed by who
prepares it next.
"""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import filelock

from okd_tf import errors, files, memory, progress, quiet
from okd_tf.sources import damage
from okd_tf.sources.request import Request

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def find(asked: Request, folder: str) -> Any | None:
    """The builder of a dataset that was prepared below the folder of caches; None if it was not.

    Raises:
        UserError: what is there is damaged.
    """
    there = asked.cache / folder
    if not there.is_dir():
        return None
    # Here and not above: it takes half a second to import, which other kinds need not pay.
    import tensorflow_datasets as tfds

    with quiet.output_held_back():
        try:
            found = tfds.builder_from_directory(there)
            if (there / "metadata.json").exists():
                found.info.metadata.load_metadata(str(there))
            return found
        except Exception as error:  # of what is damaged in it, TFDS raises many types
            if memory.line(error):
                raise
            raise errors.UserError(
                f"--cache_dir: {there}: cannot be read ({damage.reason(error)}); delete that folder, and it "
                "is prepared again"
            ) from None


def prepared(
    asked: Request, folder: str, make: Callable[[str], Any], download_dir: pathlib.Path | None = None
) -> Any:
    """The builder of a dataset below the folder of caches, prepared now if it is not there yet.

    Args:
        asked: says which folder that is.
        folder: where it will lie below it: TFDS's name/config/version.
        make: gives an unprepared builder, of a `data_dir`.
        download_dir: where TFDS puts what it downloads, if it does.

    Raises:
        UserError: the file system refuses, or what its examples raise.
    """
    found = find(asked, folder)
    if found is None:
        there = asked.cache / folder
        with alone(there, asked.name):
            # Another run may have done it meanwhile.
            if not there.is_dir():
                progress.say(f"data: {asked.name}: preparing it in {there}, once")
                _prepare(there, make, download_dir)
        found = find(asked, folder)
    return found


@contextlib.contextmanager
def alone(folder: pathlib.Path, name: str) -> Iterator[None]:
    """Keeps others from preparing a folder or file; says so if they must be waited for."""
    path = folder.with_name(f"{folder.name}.lock")
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except filelock.Timeout:
        progress.say(f"data: {name}: waiting for another run that is preparing {folder}")
        lock.acquire()
    except OSError as error:
        raise files.write_error(path, error, "--cache_dir") from None
    try:
        yield
    finally:
        lock.release()


def _prepare(there: pathlib.Path, make: Callable[[str], Any], download_dir: pathlib.Path | None) -> None:
    with quiet.output_held_back(), files.replacing(there, "--cache_dir") as temporary:
        # TFDS puts name, configuration and version in between.
        root = temporary / "tfds"
        try:
            builder = make(str(root))
            builder.download_and_prepare(download_dir=str(download_dir or root / "downloads"))
            for file in pathlib.Path(builder.data_dir).iterdir():
                file.rename(temporary / file.name)
            files.remove(root)
        except Exception as error:
            # TFDS puts words of its own around what an example raised.
            for cause in _causes(error):
                if isinstance(cause, errors.UserError):
                    raise cause from None
                refusal = files.refusal_in(cause) or _of_records(cause)
                if refusal:
                    raise files.write_error(there, refusal, "--cache_dir") from None
            raise


def _of_records(error: BaseException) -> OSError | None:
    """What the file system said, of an error of the writer of ArrayRecord, which has its words in it."""
    if not isinstance(error, RuntimeError):
        return None
    number = next((number for number in _REFUSALS if os.strerror(number) in str(error)), None)
    return OSError(number, os.strerror(number)) if number else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
