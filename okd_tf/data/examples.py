"""Labelled images in memory, each under an id that never changes."""

import dataclasses

import numpy as np

from okd_tf import errors
from okd_tf.data import views


@dataclasses.dataclass(frozen=True)
class Examples:
    """A set of labelled images, in ascending order of id.

    Attributes:
        ids: int64 [examples], unique within the part of the source (its train or its test images).
        images: uint8 [examples, height, width, channels].
        labels: int32 [examples], each in [0, classes).
    """

    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Examples":
        """The examples at these positions (an index or a boolean mask), in ascending order of id."""
        ids = self.ids[rows]
        order = np.argsort(ids, kind="stable")
        return Examples(ids[order], self.images[rows][order], self.labels[rows][order])


@dataclasses.dataclass(frozen=True)
class Source:
    """What a dataset is before it is split: its own train and test images."""

    name: str
    class_names: tuple[str, ...]
    train: Examples
    test: Examples
    augmentation: views.CropFlip

    def __post_init__(self) -> None:
        for index, name in enumerate(self.class_names):
            if not name or errors.one_line(name) != name:
                raise errors.UserError(
                    f"--dataset: the name of class {index} of '{self.name}' is {name!r}; labels.txt takes a "
                    "text of one line: mend the dataset"
                )
