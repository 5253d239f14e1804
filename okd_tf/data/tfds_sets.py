"""Datasets that TFDS knows: found, checked to be prepared, and read; in memory, or streamed from the disk.

CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) are two of them; `tfds:NAME` is any other of labelled images.
"""

import dataclasses
import functools
import hashlib
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from okd_tf import errors, memory, progress, quiet
from okd_tf.data import damage, examples, fitted, prepared, sizes, views
from okd_tf.data.request import Request

USUAL = {  # splits that are taken, if no other part has them
    "train": ("train",),
    "test": ("test", "validation"),
    "val": ("val", "valid", "validation"),
}
# In what TFDS says where nothing is damaged, and the name alone is wrong.
_MISNAMED = re.compile(
    r"BuilderConfig \S+ not found|cannot be loaded at version [^,]+|Parsing builder name string .* failed"
)


def load(asked: Request) -> examples.Source:
    """The dataset that a name of the form tfds:NAME or tfds:NAME/CONFIG says.

    Raises:
        UserError: no such dataset, not prepared, damaged, or not of labelled images.
    """
    if not asked.of:
        raise errors.UserError(
            "--dataset: 'tfds:' names no dataset; give one as tfds:NAME or tfds:NAME/CONFIG"
        )
    return of(find(asked.of, asked), asked)


def load_named(name: str, asked: Request) -> examples.Source:
    """A dataset that has a name of its own here."""
    return of(find(name, asked), asked)


def find(name: str, asked: Request) -> Any:
    """The builder of a prepared dataset; only `download` lets TFDS touch the network."""
    # Here and not above: importing TFDS takes seconds.
    import tensorflow_datasets as tfds

    # TFDS warns of a folder that is not there, which is said better below.
    with quiet.output_held_back():
        try:
            builder = tfds.builder(name, data_dir=asked.data_dir or None)
            is_prepared = builder.is_prepared()
        except tfds.core.registered.DatasetNotFoundError:
            raise errors.UserError(
                f"--dataset: TFDS knows no dataset '{name}', and there is none of this name in "
                f"{asked.data_dir or 'its folder'}; see tensorflow.org/datasets/catalog for names"
            ) from None
        except Exception as error:  # TFDS raises many types for damaged descriptions of a dataset
            if memory.line(error):
                raise
            misnamed = _MISNAMED.search(str(error))
            if misnamed:
                raise errors.UserError(
                    f"--dataset: '{name}' is not as TFDS names it ({misnamed[0]}); see "
                    "tensorflow.org/datasets/catalog for names and configurations"
                ) from None
            raise damage.unreadable(f"'{name}' in {asked.data_dir or 'the folder of TFDS'}", error) from None
    if not is_prepared:
        if not asked.download:
            raise errors.UserError(
                f"--data_dir: no prepared '{name}' in {builder.data_dir}; "
                "point --data_dir at a prepared TFDS folder, or allow a download with --download"
            )
        try:
            builder.download_and_prepare(file_format="array_record")
        except Exception as error:  # the network, the disk and TFDS each raise their own
            raise errors.UserError(
                f"--download: '{name}' could not be fetched ({damage.reason(error)}); "
                "see to the network, or point --data_dir at a prepared TFDS folder"
            ) from None
    return builder


def of(builder: Any, asked: Request, name: str = "") -> examples.Source:
    """A prepared dataset as a source.

    Args:
        builder: of TFDS, prepared.
        asked: which splits and features are wanted, and how.
        name: what results are said to be of; "" is what TFDS calls it.

    Raises:
        UserError: it does not have what is asked for, images differ in size, or files are damaged.
    """
    found = prepared.Prepared(builder, asked)
    chosen = {part: getattr(asked, f"{part}_split") for part in USUAL}
    splits: dict[str, str] = {}
    for part, usual in USUAL.items():
        taken = {*chosen.values(), *splits.values()}
        free = tuple(name for name in usual if name not in taken)
        splits[part] = found.split(chosen[part], free, f"--{part}_split")
    splits = {part: split for part, split in splits.items() if split}
    if len(set(splits.values())) < len(splits) or "train" not in splits:
        there = ", ".join(sorted(builder.info.splits))
        raise errors.UserError(
            f"--train_split, --val_split, --test_split: of {found.what} ({there}) these are "
            f"{', '.join(f'{part}={split}' for part, split in splits.items()) or 'none'}; name different ones"
        )
    shape = _wanted_shape(found, splits["train"], asked)
    images = sum(map(found.images, splits.values()))
    in_memory = images * math.prod(shape) <= asked.cache_bytes
    # What is of one size and fits in memory is brought to another there, which is faster.
    as_it_is = None not in found.image_shape and images * math.prod(found.image_shape) <= asked.cache_bytes
    if not (in_memory and as_it_is) and (shape != found.image_shape or found.format != "array_record"):
        found, splits = _fitted(found, splits, shape, asked), {part: part for part in splits}
    parts = {part: _read(found, split, asked, in_memory) for part, split in splits.items()}
    class_names, parts = _without_unused(found, parts)
    return examples.Source(
        name=name or builder.info.full_name.rpartition("/")[0],
        class_names=class_names,
        augmentation=views.usual(shape),
        train=parts["train"],
        test=parts.get("test"),
        val=parts.get("val"),
    )


def _without_unused(
    found: prepared.Prepared, parts: dict[str, examples.Examples]
) -> tuple[tuple[str, ...], dict[str, examples.Examples]]:
    """Class names and parts without the classes that a dataset declares and has no image of in any part."""
    used = np.unique(np.concatenate([part.labels for part in parts.values()]))
    names = found.class_names
    if len(used) == len(names):
        return names, parts
    unused = [name for label, name in enumerate(names) if label not in used]
    progress.say(f"data: {found.what}: of these classes there are no images: {', '.join(unused)}")
    labels = np.searchsorted(used, np.arange(len(names))).astype(np.int32)
    kept = {name: dataclasses.replace(part, labels=labels[part.labels]) for name, part in parts.items()}
    return tuple(names[label] for label in used), kept


def _read(found: prepared.Prepared, split: str, asked: Request, in_memory: bool) -> examples.Examples:
    return found.read(split) if in_memory else found.stream(split, asked)


def _wanted_shape(found: prepared.Prepared, split: str, asked: Request) -> tuple[int, int, int]:
    """(height, width, channels) that all images are to have."""
    height, width, channels = found.image_shape
    if None in found.image_shape:
        with found.reading(split):
            first = next(found.decoded(split))[1].shape
        height, width, channels = (size or own for size, own in zip(found.image_shape, first, strict=True))
    height, width = asked.image_size or (height, width)
    return height, width, asked.channels or channels


def _fitted(
    found: prepared.Prepared, splits: dict[str, str], shape: tuple[int, int, int], asked: Request
) -> prepared.Prepared:
    """The same images, brought to one size and kept; in ArrayRecord, which can be streamed."""

    def part(split: str) -> fitted.Part:
        return lambda: _brought(found, split, shape, asked)

    builder = fitted.builder(
        asked,
        key=_key(found, splits, shape, asked),
        image_shape=shape,
        class_names=found.class_names,
        parts={name: part(split) for name, split in splits.items()},
        counts={name: found.images(split) for name, split in splits.items()},
    )
    return prepared.Prepared(builder, Request(asked.name))


def _brought(
    found: prepared.Prepared, split: str, shape: tuple[int, int, int], asked: Request
) -> Iterator[tuple[int, np.ndarray, int]]:
    """(id, pixels of the shape that is wanted, label) of each example of a split."""
    ids = found.ids(split)
    for example_id, (_, image, label) in zip(ids.tolist(), found.decoded(split), strict=True):
        if not asked.image_size and image.shape[:2] != shape[:2]:
            raise errors.UserError(
                f"--image_size: images of {found.what} differ in size, as {shape[0]}x{shape[1]} and "
                f"{image.shape[0]}x{image.shape[1]}; give the size that all are to be brought to"
            )
        yield example_id, sizes.bring(image, shape, asked.resize), label


def _key(
    found: prepared.Prepared, splits: dict[str, str], shape: tuple[int, int, int], asked: Request
) -> str:
    """A name of what is made of which files."""
    parts = [repr((found.keys, sorted(splits.items()), shape, asked.resize, found.class_names))]
    for split in splits.values():
        for path in found.paths(split):
            stat = os.stat(path)
            parts.append(f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{found.builder.name}_{shape[0]}x{shape[1]}x{shape[2]}_{digest[:12]}"


load_cifar10 = functools.partial(load_named, "cifar10")
load_cifar100 = functools.partial(load_named, "cifar100")
