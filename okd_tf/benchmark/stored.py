"""The data that cases read from the disk: examples, and view banks of random logits.

The time to read does not depend on the logits, and running real teachers can take hours.
"""

import dataclasses
import pathlib

import numpy as np

from okd_tf import data, errors, files, json_file
from okd_tf.benchmark.setup import NOISE
from okd_tf.data import examples, fitted, prepared, splits, views
from okd_tf.sources import catalogue, request
from okd_tf.teachers import bank, shards, store

NOISE_EXAMPLES = 5000
_WRITTEN = ("train", "val")  # no case reads the test split


def load(dataset, data_dir, train_examples, val_examples, image_size, classes) -> splits.Splits:
    """Return a dataset's splits, or noise in the place of one.

    Args:
        dataset: NOISE or a key of `data.DATASETS`.
        data_dir: folder of prepared TFDS data.
        train_examples: number of training examples; 0 is all, or NOISE_EXAMPLES.
        val_examples: number of validation examples, for noise.
        image_size: height and width, for noise.
        classes: number of classes, for noise.

    Raises:
        UserError: unknown name, or data that is missing.
    """
    if dataset not in (NOISE, *data.DATASETS):
        raise errors.unknown("--dataset", dataset, (NOISE, *data.DATASETS))
    if dataset != NOISE:
        return splits.carve(data.load(dataset, data_dir), seed=0, train_examples=train_examples)
    generator = np.random.default_rng(0)

    def noise(count):
        images = generator.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
        labels = generator.integers(0, classes, count, dtype=np.int32)
        return examples.Examples(np.arange(count), images, labels)

    val = noise(val_examples)
    return splits.Splits(
        name=NOISE,
        class_names=tuple(map(str, range(classes))),
        train=noise(train_examples or NOISE_EXAMPLES),
        val=val,
        test=val,
        augmentation=views.CropFlip(padding=4, flip=True),
        mean=(127.0,) * 3,
        std=(64.0,) * 3,
    )


def write(folder, of: splits.Splits, num_views, teacher_counts):
    """Write the examples, and a bank for each number of teachers.

    Raises:
        UserError: more views than an image has, or too little space on the disk.
    """
    bank.check_views(num_views, of)
    plans = {count: bank.plan(of, num_views, count) for count in sorted(set(teacher_counts))}
    size = of.train.images.nbytes + 2 * of.val.images.nbytes + sum(plan.size_bytes for plan in plans.values())
    files.require_space(folder, size, "what the cases read", "--bank_dir")
    arrays = {
        f"{part}_{name}": getattr(getattr(of, part), name)[:]
        for part in _WRITTEN
        for name in ("ids", "images", "labels")
    }
    with _arrays(folder).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    rest = {name: getattr(of, name) for name in ("name", "class_names", "mean", "std")}
    json_file.write(_rest(folder), {**rest, "augmentation": dataclasses.asdict(of.augmentation)})
    noise = np.random.default_rng(0).normal(size=(shards.SHARD_ROWS, max(plans, default=0), of.classes))
    noise = noise.astype(np.float16)
    for count, plan in plans.items():

        def logits(part, view, start, stop, count=count):
            return noise[: stop - start, :count]

        shards.fill(_bank(folder, count), plan, logits, seen=np.zeros((count, len(of.train)), bool))


def read_splits(folder) -> splits.Splits:
    """Return the examples given to `write`."""
    with np.load(_arrays(folder), allow_pickle=False) as arrays:
        parts = {
            part: examples.Examples(*(arrays[f"{part}_{name}"] for name in ("ids", "images", "labels")))
            for part in _WRITTEN
        }
    rest = json_file.read(_rest(folder))
    return splits.Splits(
        **parts,
        test=parts["val"],
        name=rest["name"],
        augmentation=views.CropFlip(**rest["augmentation"]),
        **{name: tuple(rest[name]) for name in ("class_names", "mean", "std")},
    )


def streamed(folder, of: splits.Splits) -> splits.Splits:
    """Return the splits with training images read from the disk; the first call writes them there."""
    asked = request.Request("streamed", cache_dir=str(folder))
    train = of.train
    builder = fitted.builder(
        asked,
        key="streamed",
        image_shape=of.image_shape,
        class_names=of.class_names,
        parts={"train": lambda: zip(train.ids.tolist(), train.images, train.labels.tolist(), strict=True)},
        counts={"train": len(train)},
    )
    return dataclasses.replace(
        of, train=prepared.Prepared(catalogue.Entry(builder, asked)).stream("train", asked)
    )


def open_bank(folder, num_teachers, num_views) -> store.Store:
    """Return the bank of `num_teachers` teachers."""
    return store.read(_bank(folder, num_teachers), {}, bank.views(num_views))


def _arrays(folder):
    return pathlib.Path(folder) / "splits.npz"


def _rest(folder):
    return pathlib.Path(folder) / "splits.json"


def _bank(folder, num_teachers):
    return pathlib.Path(folder) / f"bank_{num_teachers}"
