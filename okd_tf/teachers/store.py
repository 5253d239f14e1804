"""Reading a finished bank: checked as a whole, then row by row through memory maps.

Memory stays bounded however large the bank is: what was mapped is given back to the system now and then.
"""

import mmap
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import errors, files
from okd_tf.teachers import shards

MAPPED = 256  # shards open at a time
RELEASED = 1024  # rows read between two releases; the system may map 64 KiB for each


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
    """A checked bank, read row by row; memory stays bounded however large it is."""

    def __init__(self, folder: pathlib.Path, plan: shards.Plan):
        """Takes what `read` has checked."""
        self.plan = plan
        self._folder = folder
        self._maps: dict[shards.Shard, tuple[mmap.mmap, np.ndarray]] = {}
        self._rows_read = 0

    def seen(self) -> np.ndarray:
        """Whether a teacher has trained on an example: bool [teachers, train rows]."""
        content = np.fromfile(self._folder / shards.SEEN, np.uint8)
        return content.reshape(self.plan.teachers, self.plan.rows["train"]).astype(bool)

    def reader(self, part: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """(rows int64 [batch], views int64 [batch]) of a split -> float32 [batch, teachers, classes]."""

        def rows_of_views(rows: np.ndarray, views: np.ndarray) -> np.ndarray:
            logits = np.empty((len(rows), self.plan.teachers, self.plan.classes), np.float16)
            firsts = rows // shards.SHARD_ROWS * shards.SHARD_ROWS
            for view, first in sorted(set(zip(views.tolist(), firsts.tolist(), strict=True))):
                wanted = (views == view) & (firsts == first)
                logits[wanted] = self._shard(part, view, first)[rows[wanted] - first]
            self._release(len(rows))
            return logits.astype(np.float32)

        return rows_of_views

    def _shard(self, part: str, view: int, first: int) -> np.ndarray:
        shard = self.plan.shard_of(part, view, first)
        mapped = self._maps.get(shard)
        if mapped is None:
            if len(self._maps) >= MAPPED:
                self._maps = {}
            with (self._folder / shard.name).open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            shape = (shard.stop - shard.start, self.plan.teachers, self.plan.classes)
            mapped = self._maps[shard] = content, np.frombuffer(content, "<f2").reshape(shape)
        return mapped[1]

    def _release(self, rows: int) -> None:
        """Gives pages back to the system now and then, else all that was ever read would count as ours."""
        self._rows_read += rows
        if self._rows_read < RELEASED:
            return
        self._rows_read = 0
        for content, _ in list(self._maps.values()):
            content.madvise(mmap.MADV_DONTNEED)
