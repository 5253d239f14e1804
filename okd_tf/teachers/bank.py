"""The view bank: what every teacher says of the stored views of each training example, asked once.

Search and distillation read it back in place of running the teachers. Logits are kept per teacher, so any
loss over them can be chosen later; as float16, memory-mapped, never all in memory.

    bank/train_00.npy   float16 [views, train examples, classes] of teacher 0, and so on
    bank/val_00.npy     float16 [1, val examples, classes]: validation examples are shown as they are
"""

import pathlib

import numpy as np
import tensorflow as tf

from okd_tf import errors, files, seeds
from okd_tf.data import examples, splits
from okd_tf.teachers import ensemble
from okd_tf.training import progress

CHUNK = 1024  # examples whose views are in memory at a time


def write(folder, teachers: ensemble.Ensemble, data: splits.Splits, num_views, view_seed):
    """Asks all teachers about `num_views` views of each training example and about the validation examples.

    What was already written is kept: a killed run goes on with the teacher it was at.

    Raises:
        UserError: more views than an image has, or too little space on the disk.
    """
    folder = pathlib.Path(folder)
    check_views(num_views, data)
    rows = {"train": num_views * len(data.train), "val": len(data.val)}
    missing = sum(
        rows[part]
        for part in rows
        for index in range(len(teachers))
        if not _path(folder, part, index).exists()
    )
    files.require_space(folder, 2 * data.classes * missing, "the view bank")
    for index in range(len(teachers)):
        _write_one(_path(folder, "train", index), teachers, index, data, data.train, num_views, view_seed)
        _write_one(_path(folder, "val", index), teachers, index, data, data.val, 0, view_seed)


def reader(folder, part, num_teachers):
    """(rows int64 [batch], views int64 [batch]) -> float32 [batch, teachers, classes], from the disk.

    Args:
        folder: the bank's.
        part: "train" or "val".
        num_teachers: how many teachers were asked.
    """
    maps = [np.load(_path(folder, part, index), mmap_mode="r") for index in range(num_teachers)]

    def read(rows, views):
        return np.stack([stored[views, rows] for stored in maps], axis=1).astype(np.float32)

    return read


def _path(folder, part, index):
    return pathlib.Path(folder) / f"{part}_{index:02}.npy"


def _write_one(path, teachers, index, data, split: examples.Examples, num_views, view_seed):
    if path.exists():
        return
    shape = (max(1, num_views), len(split), data.classes)
    seed = seeds.derive(view_seed, "views")
    with files.replacing(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        for view in range(shape[0]):
            progress.say(
                f"bank: teacher {index + 1} of {len(teachers)}, {path.name}, view {view + 1} of {shape[0]}"
            )
            for start in range(0, len(split), CHUNK):
                images, ids = split.images[start : start + CHUNK], split.ids[start : start + CHUNK]
                if num_views:
                    images = data.augmentation.apply(
                        tf.constant(images), tf.constant(ids), tf.fill([len(ids)], np.int64(view)), seed
                    ).numpy()
                logits = teachers.one(index, images)
                limit = np.finfo(np.float16).max
                stored[view, start : start + CHUNK] = np.clip(logits, -limit, limit)
        stored.flush()
        del stored


def is_there(folder, num_teachers):
    """Whether the bank holds all that these teachers say."""
    return num_teachers > 0 and all(
        _path(folder, part, index).exists() for part in ("train", "val") for index in range(num_teachers)
    )


def check_views(num_views, data):
    """Raises UserError when more views are asked for than an image of this dataset has."""
    if num_views > data.augmentation.count:
        raise errors.UserError(
            f"--views: {num_views} asked, an image of '{data.name}' has {data.augmentation.count} views; "
            "ask for at most that many"
        )
