"""Reading a finished bank: checked as a whole, then row by row.

A row is read by its place in the file, and not through a memory map: where the system maps two megabytes for
a byte, a step would map hundreds, and all that was ever read would count as this process's memory.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import errors, files
from okd_tf.teachers import shards

OPEN = 256  # shards open at a time


def read(folder: files.PathLike, key: dict[str, Any], views: dict[str, int]) -> "Store":
    """Opens a finished bank and checks all of it.

    Args:
        folder: the bank's.
        key: what it must be of; see `shards.Plan`.
        views: how many views of each split it must have at least.

    Raises:
        UserError: not there, not finished, damaged, or of something else; names the file or what differs.
    """
    folder = pathlib.Path(folder)
    shards.refuse_foreign(folder, key, views)
    plan = shards.read_plan(folder)
    for shard in shards.unfinished(folder, plan):
        raise errors.UserError(f"{folder / shard.name}: missing or cut short; run the bank stage again")
    if not shards.complete(folder):
        raise errors.UserError(f"{folder / shards.SEEN}: missing; run the bank stage again")
    shards.verify(folder, plan)
    return Store(folder, plan)


class Store:
    """A checked bank, read row by row; memory does not grow with its size."""

    def __init__(self, folder: pathlib.Path, plan: shards.Plan):
        """Takes what `read` has checked."""
        self.plan = plan
        self._folder = folder
        self._files: dict[shards.Shard, _File] = {}

    def seen(self) -> np.ndarray:
        """Whether a teacher has trained on an example: bool [teachers, train rows]."""
        content = np.fromfile(self._folder / shards.SEEN, np.uint8)
        return content.reshape(self.plan.teachers, self.plan.rows["train"]).astype(bool)

    def reader(self, part: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """(rows int64 [batch], views int64 [batch]) of a split -> float32 [batch, teachers, classes].

        They are logits as `shards.relative` gives them. The reader raises UserError, naming the file, when a
        shard is gone or was cut short meanwhile.
        """

        def rows_of_views(rows: np.ndarray, views: np.ndarray) -> np.ndarray:
            logits = np.empty((len(rows), self.plan.teachers, self.plan.classes), "<f2")
            for place, row, view in zip(logits, rows.tolist(), views.tolist(), strict=True):
                shard = self.plan.shard_of(part, view, row)
                self._file(shard).read_into(place, (row - shard.start) * place.nbytes)
            return logits.astype(np.float32)

        return rows_of_views

    def _file(self, shard: shards.Shard) -> "_File":
        opened = self._files.get(shard)
        if opened is None:
            if len(self._files) >= OPEN:
                self._files = {}  # whoever reads one at this moment keeps it open
            opened = self._files[shard] = _File(self._folder / shard.name)
        return opened


class _File:
    """A file that several threads may read at once."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise self._failure(error.strerror) from None

    def read_into(self, place: np.ndarray, offset: int) -> None:
        """Fills an array with the bytes at an offset."""
        try:
            count = os.preadv(self._descriptor, [place.data], offset)
        except OSError as error:
            raise self._failure(error.strerror) from None
        if count != place.nbytes:
            raise self._failure("it was cut short")

    def _failure(self, why: str | None) -> errors.UserError:
        return errors.UserError(
            f"{self._path}: cannot be read any more: {why}; run the bank stage again, and then this one, "
            "which goes on"
        )

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
