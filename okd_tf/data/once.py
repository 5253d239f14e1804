"""Preparing a dataset through TFDS once, for all runs: by one of them at a time, and whole or not at all.

TFDS prepares in a folder of another name and renames it when all is there; what a kill has left of one is
removed by who prepares it next.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import filelock

from okd_tf import errors, files, memory, progress, quiet
from okd_tf.data.request import Request

_INCOMPLETE = "incomplete.*"  # how TFDS calls what it is preparing


def prepared(asked: Request, folder: str, make: Callable[[str], Any]) -> Any:
    """The builder of a dataset below the folder of caches, prepared now if it is not there yet.

    Args:
        asked: says which folder that is.
        folder: where it will lie below it: TFDS's name/config/version.
        make: gives an unprepared builder, of a `data_dir`.

    Raises:
        UserError: the file system refuses, or what its examples raise.
    """
    import tensorflow_datasets as tfds

    there = asked.cache / folder
    if not _is_whole(there):
        with _alone(there, asked.name):
            if not _is_whole(there):
                _prepare(there, asked, make)
    with quiet.output_held_back():
        try:
            return tfds.builder_from_directory(there)
        except Exception as error:  # of what is damaged in it, TFDS raises many types
            if memory.line(error):
                raise
            raise errors.UserError(
                f"--cache_dir: {there}: cannot be read ({_first_line(error)}); delete that folder, and it is "
                "prepared again"
            ) from None


def _is_whole(folder: pathlib.Path) -> bool:
    return (folder / "dataset_info.json").exists()


@contextlib.contextmanager
def _alone(folder: pathlib.Path, name: str) -> Iterator[None]:
    """Keeps others from preparing a folder; says so if they must be waited for."""
    path = folder.with_name(f"{folder.name}.lock")
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except filelock.Timeout:
        progress.say(f"data: {name}: waiting for another run that is preparing {folder}")
        lock.acquire()
    except OSError as error:
        raise files.write_error(path, error) from None
    try:
        yield
    finally:
        lock.release()


def _prepare(there: pathlib.Path, asked: Request, make: Callable[[str], Any]) -> None:
    for left in there.parent.glob(_INCOMPLETE):
        files.remove(left)
    progress.say(f"data: {asked.name}: preparing it in {there}, once")
    try:
        with quiet.output_held_back():
            make(str(asked.cache)).download_and_prepare()
    except errors.UserError:
        raise
    except Exception as error:
        # TFDS puts words of its own around what an example raised.
        for cause in _causes(error):
            if isinstance(cause, errors.UserError):
                raise cause from None
            refusal = files.refusal_in(cause)
            if refusal:
                raise files.write_error(there, refusal) from None
        raise
    finally:
        for left in there.parent.glob(_INCOMPLETE):
            files.remove(left)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
