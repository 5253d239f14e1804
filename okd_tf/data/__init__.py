"""Datasets: named sources of labelled images, their splits, their augmented views, and batches of them.

A dataset is one function (Request) -> Source and one line below, which also says what of a request it takes.
A name may say what it is of after a colon, as npz:FILE.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import errors
from okd_tf.data import (
    arrays,
    digits,
    examples,
    folder,
    sizes,
    streamed,
    tfds_sets,
    tiny_imagenet,
    views,
)
from okd_tf.data.examples import Source
from okd_tf.data.request import Request

_SIZE = {"image_size", "resize", "channels"}
_TFDS = {*_SIZE, "data_dir", "download", "label_key"}
_SPLITS = {"train_split", "val_split", "test_split"}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A kind of dataset.

    Attributes:
        load: gives it.
        takes: the fields of a request that mean something to it.
        after_colon: what its name says after a colon; "" is nothing.
    """

    load: Callable[[Request], Source]
    takes: set[str]
    after_colon: str = ""


DATASETS = {
    "digits": Dataset(digits.load, _SIZE),
    "cifar10": Dataset(tfds_sets.load_cifar10, _TFDS),
    "cifar100": Dataset(tfds_sets.load_cifar100, _TFDS),
    "tiny_imagenet": Dataset(tiny_imagenet.load, {*_SIZE, "download", "tiny_imagenet_zip"}),
    "folder": Dataset(folder.load, {*_SIZE, "data_dir", "max_unreadable"}),
    "tfds": Dataset(tfds_sets.load, {*_TFDS, *_SPLITS, "image_key", "id_key"}, "NAME"),
    "npz": Dataset(arrays.load, {*_SIZE, "image_key", "label_key", "id_key"}, "FILE"),
}

_CHUNK = 1024  # images brought to a size at a time
_ALWAYS = {"name", "cache_dir", "cache_bytes", "data_dir", "download"}  # of a host, or without harm


def load(name: str, data_dir: str = "", **how: Any) -> Source:
    """Loads a dataset by its name and the other fields of a `Request`; else as `read`."""
    return read(Request(name, data_dir, **how))


def read(asked: Request) -> Source:
    """Loads the dataset that is asked for.

    Raises:
        UserError: unknown name, a field that it does not take, or data that is not there.
    """
    check(asked)
    return _brought(DATASETS[asked.kind].load(asked), asked)


def given(source: Source, asked: Request) -> Source:
    """A dataset that is given from Python, with its images as they are asked for.

    Raises:
        UserError: a field that has no meaning for it.
    """
    _check_fields(asked, "a dataset that is given from Python", _SIZE)
    return _brought(source, asked)


def _brought(source: Source, asked: Request) -> Source:
    """A source with its images in memory brought to what is asked for; what streams is so already."""
    height, width, channels = source.train.images.shape[1:]
    height, width = asked.image_size or (height, width)
    shape = (height, width, asked.channels or channels)
    if shape == source.train.images.shape[1:] or isinstance(source.train.images, streamed.Streamed):
        return source

    def of(part: examples.Examples) -> examples.Examples:
        chunks = (part.images[start : start + _CHUNK] for start in range(0, len(part), _CHUNK))
        images = np.concatenate([sizes.bring(chunk, shape, asked.resize) for chunk in chunks])
        return dataclasses.replace(part, images=images)

    return dataclasses.replace(
        source,
        train=of(source.train),
        test=of(source.test) if source.test else None,
        val=of(source.val) if source.val else None,
        augmentation=views.usual(shape, source.augmentation.flip),
    )


def check(asked: Request) -> None:
    """Raises UserError where a request can be seen to be wrong without any data."""
    if asked.kind == arrays.GIVEN:
        raise errors.UserError(
            f"--dataset: '{arrays.GIVEN}' are given from Python, as pipeline.run(..., source=...); name a "
            "file of them as npz:FILE"
        )
    if asked.kind not in DATASETS:
        raise errors.unknown("--dataset", asked.kind, DATASETS)
    if ":" in asked.name and not DATASETS[asked.kind].after_colon:
        after = " and ".join(f"{name}:{one.after_colon}" for name, one in DATASETS.items() if one.after_colon)
        raise errors.UserError(
            f"--dataset: {asked.name}: only {after} have something after a colon; give {asked.kind} alone"
        )
    _check_fields(asked, f"--dataset={asked.name}", DATASETS[asked.kind].takes)


def _check_fields(asked: Request, whose: str, takes: set[str]) -> None:
    usual = Request(asked.name)
    for field in dataclasses.fields(Request):
        differs = getattr(asked, field.name) != getattr(usual, field.name)
        if differs and field.name not in {*takes, *_ALWAYS}:
            takers = [name for name, dataset in DATASETS.items() if field.name in dataset.takes]
            raise errors.UserError(
                f"--{field.name}: is not of {whose} (but of {', '.join(takers)}); leave it out"
            )
