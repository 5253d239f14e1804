"""Mixed images: a view of an example that is partly a view of another one.

CutMix (Yun et al., ICCV 2019) puts a box of the other image into the first; mixup (Zhang et al., ICLR 2018)
blends the two. Which image is mixed with which other one, how and how much is a pure function of (example,
view, seed) over a finite set, as views are: teachers can be asked once about the pixels that a student will
see, and any process gets the same ones. All of it is integer arithmetic, so it is the same on any machine.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from okd_tf.data import hashing, permutation

NONE, CUTMIX, MIXUP, BOTH = "none", "cutmix", "mixup", "both"
KINDS = (NONE, CUTMIX, MIXUP, BOTH)
LEVELS = 64  # different shares of the first image, evenly spread over (0, 1)
VIEWS = 4096  # how many mixtures of each view there are, at least

_RESOLUTION = 2**16  # of the probability
# What is drawn for a view; each has bits of its own.
_WHETHER, _KIND, _LEVEL, _ROW, _COLUMN, _CLASS, _MEMBER = range(1, 8)


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Mix views of images with views of other ones.

    Attributes:
        kind: "cutmix", "mixup", or "both": one of the two, as often.
        probability: of a view being mixed, in (0, 1].
        balanced: whether the other image is of each class equally often, and not each image.
    """

    kind: str
    probability: float = 0.5
    balanced: bool = False

    def mix(
        self, images: tf.Tensor, others: tf.Tensor, ids: tf.Tensor, views: tf.Tensor, seed: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mix each image with another one, or leave it as it is.

        The share of the first image is uniform: Beta(1, 1), as CutMix has it and mixup has it for CIFAR. A
        box lies around a pixel drawn uniformly and is cut at the border; the share counts pixels.

        Args:
            images: uint8 [batch, height, width, channels], views of the examples themselves.
            others: of the same shape, views of those that may be mixed in.
            ids: int64 [batch], of the examples.
            views: int64 [batch], numbers of the views.
            seed: of what is drawn.

        Returns:
            images uint8 [batch, height, width, channels], and float32 [batch] in (0, 1]: how much of each is
            of `images`; 1 where nothing is mixed in.
        """
        words = _words(ids, views, seed)
        mixed = _draw(words, _WHETHER, _RESOLUTION) < round(self.probability * _RESOLUTION)
        level = _draw(words, _LEVEL, LEVELS)
        cuts = mixed & (_draw(words, _KIND, 2) == 0) if self.kind == BOTH else mixed
        shown, share = images, tf.ones(tf.shape(ids), tf.float32)
        if self.kind in (CUTMIX, BOTH):
            shown, share = self._cut(images, others, words, level, cuts)
        if self.kind in (MIXUP, BOTH):
            blends = mixed & ~cuts if self.kind == BOTH else mixed
            blended, share_blended = _blended(images, others, level)
            shown = tf.where(blends[:, tf.newaxis, tf.newaxis, tf.newaxis], blended, shown)
            share = tf.where(blends, share_blended, share)
        return tf.ensure_shape(shown, images.shape), share

    def _cut(self, images, others, words, level, cuts):  # type: ignore[no-untyped-def]
        height, width = images.shape[1:3]
        # Smaller than the image, so that something of it stays: the share is never 0.
        sides = np.sqrt(1 - (np.arange(LEVELS) + 0.5) / LEVELS)
        of_levels = tf.constant(np.floor(np.outer(sides, (height, width))), tf.int64)
        size = tf.gather(of_levels, level)
        top, bottom = _interval(_draw(words, _ROW, height), size[:, 0], height)
        left, right = _interval(_draw(words, _COLUMN, width), size[:, 1], width)
        rows, columns = tf.range(height, dtype=tf.int64), tf.range(width, dtype=tf.int64)
        in_rows = (rows >= top[:, tf.newaxis]) & (rows < bottom[:, tf.newaxis]) & cuts[:, tf.newaxis]
        in_columns = (columns >= left[:, tf.newaxis]) & (columns < right[:, tf.newaxis])
        box = (in_rows[:, :, tf.newaxis] & in_columns[:, tf.newaxis, :])[..., tf.newaxis]
        area = tf.where(cuts, (bottom - top) * (right - left), 0)
        share = tf.cast(height * width - area, tf.float32) / tf.cast(height * width, tf.float32)
        return tf.where(box, others, images), share


class Partners:
    """Choose which example of a split each view of an example may be mixed with."""

    def __init__(self, labels: np.ndarray, seed: int, balanced: bool = False):
        """Prepare the choice.

        Args:
            labels: int [examples] of the split.
            seed: of what is drawn.
            balanced: choose each class equally often, and within it each example; otherwise each example.
        """
        self._last = len(labels) - 1
        self._seed = seed
        self._balanced = balanced
        classes, counts = np.unique(labels, return_counts=True)
        self._classes = len(classes)
        self._members = np.argsort(labels, kind="stable")
        self._counts = counts
        self._tensors: tuple[tf.Tensor, ...] | None = None

    def __call__(self, rows: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Return rows int64 [batch] of the split for rows and views int64 [batch].

        Without `balanced` each view has a permutation of the split of its own, so that within a view every
        example is mixed in equally often.
        """
        if not self._balanced:
            return permutation.shuffled(rows, self._last, views, self._seed)
        if self._tensors is None:
            with tf.init_scope(), tf.device("cpu"):
                first = np.cumsum(self._counts) - self._counts
                self._tensors = tuple(
                    tf.constant(one, tf.int64) for one in (first, self._counts, self._members)
                )
        first, counts, members = self._tensors
        words = _words(rows, views, self._seed)
        chosen = _draw(words, _CLASS, self._classes)
        place = _draw(words, _MEMBER, 2**32) % tf.gather(counts, chosen)
        return tf.gather(members, tf.gather(first, chosen) + place)


def _words(keys: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
    """Return random bits uint64 [batch] for each pair of a key and a view, both int64 [batch]."""
    return hashing.mixed(hashing.splitmix64(keys, seed) ^ hashing.splitmix64(views, seed + 1))


def _draw(words: tf.Tensor, purpose: int, count: int) -> tf.Tensor:
    """Return int64 [batch] in [0, count), another one for each purpose."""
    return hashing.halves(hashing.splitmix64(words, purpose))[1] % count


def _interval(centre: tf.Tensor, size: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return begin and end of `size` pixels around a centre, cut to [0, length)."""
    begin = centre - size // 2
    return tf.clip_by_value(begin, 0, length), tf.clip_by_value(begin + size, 0, length)


def _blended(images: tf.Tensor, others: tf.Tensor, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images blended with others, rounded to uint8, and the share of the first, float32 [batch]."""
    own = tf.cast(2 * level + 1, tf.int32)
    weight = own[:, tf.newaxis, tf.newaxis, tf.newaxis]
    total = weight * tf.cast(images, tf.int32) + (2 * LEVELS - weight) * tf.cast(others, tf.int32)
    return tf.cast((total + LEVELS) // (2 * LEVELS), tf.uint8), tf.cast(own, tf.float32) / (2 * LEVELS)
