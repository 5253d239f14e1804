"""Labelled images, each under an id that never changes."""

import dataclasses
import functools

import numpy as np

from okd_tf import errors
from okd_tf.data import content, streamed, views

Images = np.ndarray | streamed.Streamed


@dataclasses.dataclass(frozen=True)
class Examples:
    """A set of labelled images, in ascending order of id.

    Attributes:
        ids: int64 [examples], unique within the part of the source (its train or its test images).
        images: uint8 [examples, height, width, channels]: an array, or what reads them from the disk.
        labels: int32 [examples], each in [0, classes).
    """

    ids: np.ndarray
    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray | slice) -> "Examples":
        """The examples at these positions (an index, a mask or a slice), in ascending order of id."""
        positions = np.arange(len(self))[rows]
        positions = positions[np.argsort(self.ids[positions], kind="stable")]
        if np.array_equal(positions, np.arange(len(self))):
            return self  # and no copy of all images
        streams = isinstance(self.images, streamed.Streamed)
        images = self.images.take(positions) if streams else self.images[positions]
        return Examples(self.ids[positions], images, self.labels[positions])

    @functools.cached_property
    def fingerprints(self) -> np.ndarray:
        """What tells each image from others: uint8 [examples, content.FINGERPRINT_BYTES]."""
        if isinstance(self.images, streamed.Streamed):
            return self.images.fingerprints
        return content.fingerprints(self.images)

    @functools.cached_property
    def thumbnails(self) -> np.ndarray:
        """Small grey forms of all images: uint8 [examples, content.THUMBNAIL_SIDE**2]."""
        if isinstance(self.images, streamed.Streamed):
            return self.images.thumbnails
        return content.thumbnails(self.images)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over all pixels, on the scale 0..255."""
        images, (height, width) = self.images, self.images.shape[1:3]
        if isinstance(images, streamed.Streamed):
            totals = images.moments.sum(axis=0)
        else:
            totals = content.totals(images)
        return content.mean_and_deviation(totals, len(images) * height * width)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a dataset is before it is split: its own train and test images.

    Attributes:
        name: what results are said to be of.
        class_names: in the order of labels.
        train: what is trained on, and carved from.
        test: None if the dataset has none; it is carved then.
        augmentation: the views that are usual for it.
        val: what is chosen by, if the dataset says so; None is carved.
    """

    name: str
    class_names: tuple[str, ...]
    train: Examples
    test: Examples | None
    augmentation: views.CropFlip
    val: Examples | None = None

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise errors.UserError(
                f"--dataset: '{self.name}' has one class, {self.class_names[0]}; give images of two or more"
            )
        for index, name in enumerate(self.class_names):
            if not name or errors.one_line(name) != name:
                raise errors.UserError(
                    f"--dataset: the name of class {index} of '{self.name}' is {name!r}; labels.txt takes a "
                    "text of one line: mend the dataset"
                )
        train = set(self.train.labels.tolist())
        for part, of in (("test", self.test), ("validation", self.val)):
            lacking = sorted(set(of.labels.tolist()) - train) if of is not None else []
            if lacking:
                more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
                raise errors.UserError(
                    f"--dataset: the {part} images of '{self.name}' have class "
                    f"'{self.class_names[lacking[0]]}'{more}, of which there is no training image; "
                    "add some, or remove the class"
                )
