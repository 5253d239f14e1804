"""The view bank: what every teacher says of the stored views of each training example, asked once.

Search and distillation read it back in place of running the teachers. Logits are kept per teacher, so any
loss over them can be chosen later. Validation examples are asked as they are. Its files and their checks are
in `shards` and `store`; here is what they hold.
"""

import hashlib
import time

import numpy as np
import tensorflow as tf

from okd_tf import errors, progress
from okd_tf.data import examples, mixing, split_views, splits
from okd_tf.teachers import ensemble, shards, store

CHUNK = 256  # images in memory at a time
# How far a stored logit may be off: relative, or absolute below 1 (float16 rounds by a quarter of it); and a
# part of the teacher's largest, which it was subtracted from.
TOLERANCE, TOLERANCE_OF_LARGEST = 2e-3, 1e-5


def key(data: splits.Splits, view_seed, teacher_hashes, mixing_of_views: mixing.Mixing | None = None):
    """What a bank is of, in parts that a user can tell apart: a dict of JSON values.

    Args:
        data: the splits.
        view_seed: of the views.
        teacher_hashes: of the teachers, in order.
        mixing_of_views: how they are mixed, or None.
    """
    ids, images = hashlib.sha256(), hashlib.sha256(repr(data.image_shape).encode())
    for split in (data.train, data.val):
        ids.update(split.ids.tobytes())
        images.update(split.fingerprints.tobytes())
    return {
        "the dataset": data.name,
        "the split": ids.hexdigest(),
        "the split's images": images.hexdigest(),
        "the kind of views": repr(data.augmentation),
        "the seed of views": view_seed,
        **({"the mixing of views": repr(mixing_of_views)} if mixing_of_views else {}),
        **{f"teacher {index + 1}": digest for index, digest in enumerate(teacher_hashes)},
    }


def plan(data: splits.Splits, num_views, num_teachers, of=None):
    """What a bank of these holds: `shards.Plan`; `of` is its key."""
    return shards.Plan(
        key=of or {},
        rows={"train": len(data.train), "val": len(data.val)},
        views=views(num_views),
        teachers=num_teachers,
        classes=data.classes,
    )


def views(num_views):
    """How many views of an example a bank holds, by split."""
    return {"train": num_views, "val": 1}


def write(
    folder, teachers: ensemble.Ensemble, data: splits.Splits, num_views, view_seed, of, seen, mixed=None
):
    """Asks all teachers about `num_views` views of each training example and about the validation examples.

    What was already written is kept: a killed run goes on with the shard it was at.

    Args:
        folder: the bank's.
        teachers: whom to ask.
        data: the splits.
        num_views: at least 1.
        view_seed: of the views.
        of: the bank's key.
        seen: bool [teachers, train examples], whether a teacher has trained on an example.
        mixed: how views are mixed, a `Mixing`, or None.

    Raises:
        UserError: more views than an image has, too little space on the disk, a logit that is not finite, or
            a folder that holds a bank of something else.
    """
    check_views(num_views, data, mixed)
    wanted = plan(data, num_views, len(teachers), of)
    missing = list(shards.unfinished(folder, wanted))
    total = sum(shard.stop - shard.start for shard in missing)
    progress.say(
        f"bank: {len(teachers)} teachers, {num_views} views of {len(data.train):,} examples: "
        f"{wanted.size_bytes / 2**20:,.0f} MiB"
        + (f", {len(missing)} of {len(list(wanted.shards()))} shards to write" if missing else "")
    )
    started, written = time.monotonic(), 0

    def say(shard):
        nonlocal written
        written += shard.stop - shard.start
        rate = written / max(1e-9, time.monotonic() - started)
        progress.say(
            f"bank: {shard.name}, {rate:,.0f} images/s of all teachers, "
            f"{progress.duration((total - written) / rate)} left"
        )

    shards.fill(folder, wanted, _asked(teachers, data, view_seed, mixed), seen, say)


def check(
    stored: store.Store, teachers: ensemble.Ensemble, data: splits.Splits, view_seed, count, seed, mixed=None
):
    """Asks the teachers again about some stored rows and compares.

    Args:
        stored: the bank.
        teachers: those it was written with.
        data: the splits.
        view_seed: of the views.
        count: how many rows, drawn from training views and validation images.
        seed: of the draw.
        mixed: how views are mixed, a `Mixing`, or None.

    Returns:
        The largest difference of a logit.

    Raises:
        UserError: a stored logit is not what the teacher says; names teacher, split, example and view.
    """
    generator = np.random.default_rng(seed)
    ask, largest = _asked(teachers, data, view_seed, mixed), 0.0
    for _ in range(count):
        part = "train" if generator.random() < 0.75 else "val"
        split = getattr(data, part)
        row, view = generator.integers(len(split)), generator.integers(stored.plan.views[part])
        there = stored.reader(part)(np.array([row]), np.array([view]))
        said = ask(part, int(view), int(row), int(row) + 1)
        live = np.maximum(shards.relative(said), np.finfo(np.float16).min)
        difference = np.abs(there - live)
        allowed = TOLERANCE * np.maximum(1, np.abs(live))
        allowed += TOLERANCE_OF_LARGEST * np.abs(said).max(axis=-1, keepdims=True)
        wrong = np.any(difference > allowed, axis=(0, 2))
        if np.any(wrong):
            raise errors.UserError(
                f"the view bank does not hold what teacher {np.argmax(wrong) + 1} says of {part} example "
                f"{split.ids[row]}, view {view}: off by {difference.max():.3g}; delete the bank's folder to "
                "have it written again"
            )
        largest = max(largest, float(difference.max()))
    return largest


def check_views(num_views, data, mixed=None):
    """Raises UserError when more views are asked for than an image of this dataset has."""
    count = split_views.count(data.augmentation, mixed)
    if num_views > count:
        has = f"{count:,} views" if count > 1 else "one view, the image itself"
        raise errors.UserError(
            f"--views: {num_views} asked, an image of '{data.name}' has {has}; ask for "
            f"{'at most that many' if count > 1 else '1'}, or change --augmentation"
        )


def _asked(teachers, data, view_seed, mixed):
    """The teachers' logits of the rows of a shard, as `shards.fill` wants them."""
    shown = split_views.SplitViews(data.train, data.augmentation, mixed, view_seed)

    def logits(part, view, start, stop):
        split: examples.Examples = getattr(data, part)
        chunks = []
        for first in range(start, stop, CHUNK):
            rows = np.arange(first, min(first + CHUNK, stop))
            if part == "train":
                numbers = tf.fill([len(rows)], np.int64(view))
                images = shown.show(tf.constant(rows), numbers, _reading(split)).images.numpy()
            else:
                images = split.images[rows]
            said = teachers.logits(images)
            teachers.refuse_what_is_not_finite(said, split.ids[rows], f"view {view} of {part} example")
            chunks.append(np.swapaxes(said, 0, 1))
        return np.concatenate(chunks)

    return logits


def _reading(split):
    return lambda rows: tf.constant(split.images[rows.numpy()])
