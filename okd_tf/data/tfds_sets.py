"""Datasets that TFDS has prepared, as sources: of one size of images, in memory or streamed from the disk."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Iterator

import numpy as np

from okd_tf import errors, progress
from okd_tf.data import examples, fitted, prepared, sizes, views
from okd_tf.sources import catalogue, damage
from okd_tf.sources.request import Request


def load(asked: Request) -> examples.Source:
    """The dataset that TFDS calls by the name asked for.

    Raises:
        UserError: no such dataset, not prepared, damaged, or not of labelled images.
    """
    builder = catalogue.find(asked)
    if not builder.is_prepared():
        _fetch(builder)
    return of(builder, asked)


def _fetch(builder: catalogue.Builder) -> None:
    """Lets TFDS download and prepare a dataset, which shows its own progress."""
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # the network, the disk and TFDS each raise their own
        raise errors.UserError(
            f"--download: '{builder.name}' could not be fetched ({damage.reason(error)}); "
            "see to the network, or point --data_dir at a prepared TFDS folder"
        ) from None


def of(builder: catalogue.Builder, asked: Request, name: str = "") -> examples.Source:
    """A prepared dataset as a source.

    Args:
        builder: of TFDS, prepared.
        asked: which splits and features are wanted, and how.
        name: what results are said to be of; "" is what TFDS calls it.

    Raises:
        UserError: it does not have what is asked for, images differ in size, or files are damaged.
    """
    entry = catalogue.Entry(builder, asked)
    splits = entry.splits(asked)
    _tell(entry, splits)
    shape = _wanted_shape(entry, splits["train"], asked)
    images = sum(map(entry.images, splits.values()))
    in_memory = images * math.prod(shape) <= asked.cache_bytes
    # What is of one size and fits in memory is brought to another there, which is faster.
    as_it_is = None not in entry.image_shape and images * math.prod(entry.image_shape) <= asked.cache_bytes
    if not (in_memory and as_it_is) and (shape != entry.image_shape or entry.format != "array_record"):
        entry, splits = _fitted(entry, splits, shape, asked), {part: part for part in splits}
    reader = prepared.Prepared(entry)
    parts = {
        part: reader.read(split) if in_memory else reader.stream(split, asked)
        for part, split in splits.items()
    }
    class_names, parts = _without_unused(entry, parts)
    return examples.Source(
        name=name or builder.info.full_name.rpartition("/")[0],
        class_names=class_names,
        augmentation=views.usual(shape),
        train=parts["train"],
        test=parts.get("test"),
        val=parts.get("val"),
    )


def _tell(entry: catalogue.Entry, splits: dict[str, str]) -> None:
    """Says what is taken for what, where that is not by its own name, and what is not taken."""
    unused = sorted(set(entry.builder.info.splits) - set(splits.values()))
    if unused or any(part != split for part, split in splits.items()):
        taken = ", ".join(f"{split} as {part}" for part, split in splits.items())
        left = f"; not taken: {', '.join(unused)}" if unused else ""
        progress.say(f"data: {entry.builder.name}: of its splits {taken}{left}")


def _without_unused(
    entry: catalogue.Entry, parts: dict[str, examples.Examples]
) -> tuple[tuple[str, ...], dict[str, examples.Examples]]:
    """Class names and parts without the classes that a dataset declares and has no image of in any part."""
    used = np.unique(np.concatenate([part.labels for part in parts.values()]))
    names = entry.class_names
    if len(used) == len(names):
        return names, parts
    unused = [name for label, name in enumerate(names) if label not in used]
    progress.say(f"data: {entry.what}: of these classes there are no images: {errors.some(unused)}")
    labels = np.searchsorted(used, np.arange(len(names))).astype(np.int32)
    kept = {name: dataclasses.replace(part, labels=labels[part.labels]) for name, part in parts.items()}
    return tuple(names[label] for label in used), kept


def _wanted_shape(entry: catalogue.Entry, split: str, asked: Request) -> tuple[int, int, int]:
    """(height, width, channels) that all images are to have."""
    height, width, channels = entry.image_shape
    if None in entry.image_shape:
        reader = prepared.Prepared(entry)
        with reader.reading(split):
            first = next(reader.decoded(split))[1].shape
        height, width, channels = (size or own for size, own in zip(entry.image_shape, first, strict=True))
    height, width = asked.image_size or (height, width)
    return height, width, asked.channels or channels


def _fitted(
    entry: catalogue.Entry, splits: dict[str, str], shape: tuple[int, int, int], asked: Request
) -> catalogue.Entry:
    """The same images, brought to one size and kept; in ArrayRecord, which can be streamed."""

    def part(split: str) -> fitted.Part:
        return lambda: _brought(entry, split, shape, asked)

    builder = fitted.builder(
        asked,
        key=_key(entry, splits, shape, asked),
        image_shape=shape,
        class_names=entry.class_names,
        parts={name: part(split) for name, split in splits.items()},
        counts={name: entry.images(split) for name, split in splits.items()},
    )
    return catalogue.Entry(builder, Request(asked.name))


def _brought(
    entry: catalogue.Entry, split: str, shape: tuple[int, int, int], asked: Request
) -> Iterator[tuple[int, np.ndarray, int]]:
    """(id, pixels of the shape that is wanted, label) of each example of a split."""
    reader = prepared.Prepared(entry)
    ids = reader.ids(split)
    for example_id, (_, image, label) in zip(ids.tolist(), reader.decoded(split), strict=True):
        if not asked.image_size and image.shape[:2] != shape[:2]:
            raise errors.UserError(
                f"--image_size: images of {entry.what} differ in size, as {shape[0]}x{shape[1]} and "
                f"{image.shape[0]}x{image.shape[1]}; give the size that all are to be brought to"
            )
        if not asked.channels and image.shape[2] != shape[2]:
            raise errors.UserError(
                f"--channels: images of {entry.what} differ in channels, as {shape[2]} and {image.shape[2]}; "
                "give --channels=3 or --channels=1"
            )
        yield example_id, sizes.bring(image, shape, asked.resize), label


def _key(entry: catalogue.Entry, splits: dict[str, str], shape: tuple[int, int, int], asked: Request) -> str:
    """A name of what is made of which files."""
    parts = [repr((entry.keys, sorted(splits.items()), shape, asked.resize, entry.class_names))]
    for split in splits.values():
        for path in entry.paths(split):
            stat = os.stat(path)
            parts.append(f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{entry.builder.name}_{shape[0]}x{shape[1]}x{shape[2]}_{digest[:12]}"
