"""Train, validation and test splits, carved by a seeded hash of the example id.

Membership depends on ids and the seed alone, never on the order on disk; a smaller `train_examples` gives a
subset of what a larger one gives.
"""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from okd_tf import errors, progress, seeds
from okd_tf.data import duplicates, examples, hashing, views


@dataclasses.dataclass(frozen=True)
class Splits:
    """A dataset as every stage sees it.

    Attributes:
        mean: per-channel mean of the training split's pixels, on the scale 0..255.
        std: their standard deviation.
        carved: names of the splits, "val" and "test", that were taken from the source's training images.
    """

    name: str
    class_names: tuple[str, ...]
    train: examples.Examples
    val: examples.Examples
    test: examples.Examples
    augmentation: views.Augmentation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    carved: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def record(self) -> dict[str, Any]:
        """Sizes and a hash of who is where, for run.json and for the keys of stages."""
        digest = hashlib.sha256(repr((self.image_shape, self.class_names)).encode())
        for part in (self.train, self.val, self.test):
            for array in (part.ids, part.labels, part.fingerprints):
                digest.update(array.tobytes())
        return {
            "dataset": self.name,
            "train": len(self.train),
            "val": len(self.val),
            "test": len(self.test),
            "sha256": digest.hexdigest(),
            "views": repr(self.augmentation),
            "mean": list(self.mean),
            "std": list(self.std),
        }


def order(ids: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """A permutation [examples] that sorts ids by their seeded hash."""
    return np.lexsort((ids, hashing.splitmix64(ids, seeds.derive(seed, purpose)).numpy()))


def carve(
    source: examples.Source,
    seed: int,
    val_examples: int = 0,
    train_examples: int = 0,
    test_examples: int = 0,
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    drop_duplicates: bool = False,
) -> Splits:
    """Splits a source; what it has no test or validation images for is carved from its training images.

    Args:
        val_examples: size of the validation split; 0 is a tenth of the training images, or all that the
            source has of its own.
        train_examples: how many of the remaining images to train on; 0 is all of them.
        test_examples: size of a test split that must be carved; 0 is a tenth of the training images.
        statistics: mean and standard deviation to normalise by; None is of the training split.
        drop_duplicates: whether copies of test images are left out of validation and training, and copies
            of validation images out of training; exact and near ones.

    Raises:
        UserError: more examples asked for than there are, or a class that training has no example of.
    """
    pool, test = source.train, source.test
    if test is None:
        pool, test = _carved(pool, test_examples or len(pool) // 10, seed, "test split", "--test_examples")
    elif test_examples:
        raise errors.UserError(
            f"--test_examples: '{source.name}' has {len(test)} test images of its own; leave it out"
        )
    if source.val is None:
        pool, val = _carved(pool, val_examples or len(source.train) // 10, seed, "validation split")
    else:
        val = _some(source.val, val_examples, seed)
    if drop_duplicates:
        val = _without_copies(val, {"test": test}, "validation")
        pool = _without_copies(pool, {"test": test, "validation": val}, "training")
    left = len(pool)
    if train_examples > left:
        raise errors.UserError(
            f"--train_examples: {train_examples} asked, {left} left of {len(source.train)} after what is for "
            f"validation and test; ask for at most {left}, or 0 for all"
        )
    # In the order that validation was carved in: another size of either takes from the same end.
    ranked = order(pool.ids, seed, "validation split")
    train = pool.take(ranked[: train_examples or left])
    classes = len(source.class_names)
    missing = sorted(set(range(classes)) - set(train.labels.tolist()))
    if missing:
        name = source.class_names[missing[0]]
        if missing[0] not in source.train.labels:
            raise errors.UserError(
                f"--dataset: '{source.name}' has no training image of class '{name}'; add some, or "
                "remove the class"
            )
        if len(train) == left:
            raise errors.UserError(
                f"--split_seed: what is carved for validation and test leaves {len(missing)} of {classes} "
                f"classes without a training image (first: {name}); add images of it, or try another seed"
            )
        raise errors.UserError(
            f"--train_examples: {len(train)} training images leave {len(missing)} of {classes} classes "
            f"without one (first: {name}); ask for more, or add images of it"
        )
    mean, std = statistics or train.statistics()
    channels = train.images.shape[-1]
    if len(mean) != channels:
        raise errors.UserError(
            f"--pixel_mean, --pixel_std: {len(mean)} numbers given, images of '{source.name}' have "
            f"{channels} channels; give {channels} of each"
        )
    return Splits(
        name=source.name,
        class_names=source.class_names,
        train=train,
        val=val,
        test=test,
        augmentation=source.augmentation,
        mean=mean,
        std=std,
        carved=tuple(name for name in ("val", "test") if getattr(source, name) is None),
    )


def _without_copies(
    part: examples.Examples, others: dict[str, examples.Examples], name: str
) -> examples.Examples:
    """Return a part without the copies of images in others; says how many there were.

    Raises:
        UserError: nothing is left.
    """
    left = np.ones(len(part), bool)
    for other, images in others.items():
        exact, near = duplicates.exact(part, images), duplicates.near(part, images) >= 0
        near &= ~exact
        progress.say(
            f"data: --drop_duplicates: {np.sum(exact & left):,} exact and {np.sum(near & left):,} near "
            f"copies of {other} images are left out of the {len(part):,} {name} images"
        )
        left &= ~(exact | near)
    if not left.any():
        raise errors.UserError(
            f"--drop_duplicates: all {len(part):,} {name} images are copies of {' or '.join(others)} images; "
            "give other images, or leave it out"
        )
    return part.take(left)


def _carved(
    pool: examples.Examples, count: int, seed: int, purpose: str, flag: str = "--val_examples"
) -> tuple[examples.Examples, examples.Examples]:
    """What is left of a pool, and what is taken from it."""
    if not 0 < count < len(pool):
        raise errors.UserError(
            f"{flag}: {count} asked of {len(pool)} training images; ask for "
            f"{'fewer' if count else '1 or more'}"
        )
    ranked = order(pool.ids, seed, purpose)
    return pool.take(ranked[count:]), pool.take(ranked[:count])


def _some(own: examples.Examples, count: int, seed: int) -> examples.Examples:
    """So many of a source's own validation images, or all."""
    if count > len(own):
        raise errors.UserError(
            f"--val_examples: {count} asked of {len(own)} validation images; ask for fewer, or 0 for all"
        )
    return own.take(order(own.ids, seed, "validation split")[: count or len(own)])
