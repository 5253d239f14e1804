"""Datasets: named sources of labelled images, their splits, their augmented views, and batches of them.

A dataset is one function (Request) -> Source and one line below, of a kind that `okd_tf.sources` has.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import sources
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
from okd_tf.sources.request import Request

DATASETS: dict[str, Callable[[Request], Source]] = {
    "digits": digits.load,
    "cifar10": tfds_sets.load,
    "cifar100": tfds_sets.load,
    "tiny_imagenet": tiny_imagenet.load,
    "folder": folder.load,
    "tfds": tfds_sets.load,
    "npz": arrays.load,
}

_CHUNK = 1024  # images brought to a size at a time


def load(name: str, data_dir: str = "", **how: Any) -> Source:
    """Loads a dataset by its name and the other fields of a `Request`; else as `read`."""
    return read(Request(name, data_dir, **how))


def read(asked: Request) -> Source:
    """Loads the dataset that is asked for.

    Raises:
        UserError: unknown name, a field that it does not take, or data that is not there.
    """
    sources.check(asked)
    return _brought(DATASETS[asked.kind](asked), asked)


def given(source: Source, asked: Request) -> Source:
    """A dataset that is given from Python, with its images as they are asked for.

    Raises:
        UserError: a field that has no meaning for it.
    """
    sources.check_fields(asked, "a dataset that is given from Python", sources.SIZE)
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
