"""Train, validation and test splits, carved by a seeded hash of the example id.

Membership depends on ids and the seed alone, never on the order on disk; a smaller `train_examples` gives a
subset of what a larger one gives.
"""

import dataclasses
import hashlib

import numpy as np

from okd_tf import errors, seeds
from okd_tf.data import examples, hashing, views


@dataclasses.dataclass(frozen=True)
class Splits:
    """A dataset as every stage sees it.

    Attributes:
        mean: per-channel mean of the training split's pixels, on the scale 0..255.
        std: their standard deviation.
    """

    name: str
    class_names: tuple[str, ...]
    train: examples.Examples
    val: examples.Examples
    test: examples.Examples
    augmentation: views.CropFlip
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def record(self) -> dict[str, int | str]:
        """Sizes and a hash of who is where, for run.json and for the keys of stages."""
        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            digest.update(part.ids.tobytes())
            digest.update(part.labels.tobytes())
            digest.update(hashlib.sha256(part.images.tobytes()).digest())
        sizes = {"train": len(self.train), "val": len(self.val), "test": len(self.test)}
        return {"dataset": self.name, **sizes, "sha256": digest.hexdigest()}


def order(ids: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """A permutation [examples] that sorts ids by their seeded hash."""
    return np.lexsort((ids, hashing.splitmix64(ids, seeds.derive(seed, purpose)).numpy()))


def carve(source: examples.Source, seed: int, val_examples: int = 0, train_examples: int = 0) -> Splits:
    """Splits a source; validation is carved from its training images, test is its test images.

    Args:
        val_examples: size of the validation split; 0 is a tenth of the training images.
        train_examples: how many of the remaining images to train on; 0 is all of them.

    Raises:
        UserError: more examples asked for than there are, or a class that training has no example of.
    """
    total = len(source.train)
    val_examples = val_examples or total // 10
    left = total - val_examples
    if left < 1:
        raise errors.UserError(
            f"--val_examples: {val_examples} asked of {total} training images; ask for fewer"
        )
    if train_examples > left:
        raise errors.UserError(
            f"--train_examples: {train_examples} asked, {left} left of {total} after {val_examples} for "
            f"validation; ask for at most {left}, or 0 for all"
        )
    ranked = order(source.train.ids, seed, "validation split")
    train = source.train.take(ranked[val_examples:][: train_examples or left])
    classes = len(source.class_names)
    missing = sorted(set(range(classes)) - set(train.labels.tolist()))
    if missing:
        raise errors.UserError(
            f"--train_examples: {len(train)} training images leave {len(missing)} of {classes} classes "
            f"without one (first: {source.class_names[missing[0]]}); ask for more"
        )
    mean, std = _statistics(train.images)
    return Splits(
        name=source.name,
        class_names=source.class_names,
        train=train,
        val=source.train.take(ranked[:val_examples]),
        test=source.test,
        augmentation=source.augmentation,
        mean=mean,
        std=std,
    )


def _statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 images, exactly, by counting values."""
    values = np.arange(256)
    moments = []
    for channel in range(images.shape[-1]):
        shares = np.bincount(images[..., channel].ravel(), minlength=256) / (images.size // images.shape[-1])
        mean = shares @ values
        moments.append((mean, np.sqrt(shares @ (values - mean) ** 2)))
    # A channel of one value has no scale to divide by; 1 leaves it as it is.
    return (
        tuple(round(float(mean), 4) for mean, _ in moments),
        tuple(round(max(float(std), 1.0), 4) for _, std in moments),
    )
