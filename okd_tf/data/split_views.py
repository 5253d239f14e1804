"""The views of a split's examples: what training shows, and what teachers are asked about.

Both go through `SplitViews.show`, so that teachers see exactly the student's pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from okd_tf import seeds
from okd_tf.data import examples, mixing, views


class Shown(NamedTuple):
    """Views of a batch of examples.

    Attributes:
        images: uint8 [batch, height, width, channels].
        partners: int64 [batch], rows of the examples that may be mixed in; None without mixing.
        share: float32 [batch] in (0, 1], how much of each image is the example's own; None without mixing.
    """

    images: tf.Tensor
    partners: tf.Tensor | None = None
    share: tf.Tensor | None = None


class SplitViews:
    """The views of one split, a pure function of (row, view number, seed)."""

    def __init__(
        self,
        split: examples.Examples,
        augmentation: views.Augmentation | None,
        mixing_of_views: mixing.Mixing | None,
        seed: int,
    ):
        """Take a split and how to look at it.

        Args:
            split: the examples.
            augmentation: None shows the images as they are.
            mixing_of_views: None mixes nothing.
            seed: of the views; the one that a view bank was written with.
        """
        self._split = split
        self._augmentation = augmentation
        self._mixing = mixing_of_views
        self._seed = seeds.derive(seed, "views")
        self._mixing_seed = seeds.derive(seed, "mixing")
        self._ids: tf.Tensor | None = None
        if mixing_of_views:
            own = seeds.derive(seed, "mixing partners")
            self._partners = mixing.Partners(split.labels, own, mixing_of_views.balanced)

    @property
    def count(self) -> int:
        """How many views an example has; they repeat after these."""
        return count(self._augmentation, self._mixing)

    def show(self, rows: tf.Tensor, numbers: tf.Tensor, read: Callable[[tf.Tensor], tf.Tensor]) -> Shown:
        """Return the views of these numbers.

        Args:
            rows: int64 [batch], positions in the split.
            numbers: int64 [batch], of the views.
            read: rows int64 [batch] -> images uint8 [batch, height, width, channels] of the split.
        """
        own = self._augmented(rows, numbers, read)
        if self._mixing is None:
            return Shown(own)
        partners = self._partners(rows, numbers)
        other = self._augmented(partners, numbers, read)
        ids = tf.gather(self._all_ids(), rows)
        images, share = self._mixing.mix(own, other, ids, numbers, self._mixing_seed)
        return Shown(images, partners, share)

    def _augmented(self, rows: tf.Tensor, numbers: tf.Tensor, read: Callable) -> tf.Tensor:
        images = read(rows)
        if self._augmentation is None:
            return images
        ids = tf.gather(self._all_ids(), rows)
        return self._augmentation.apply(images, ids, numbers, self._seed)

    def _all_ids(self) -> tf.Tensor:
        # Made once and captured by tf.data by reference: a NumPy array would be copied into each graph.
        if self._ids is None:
            with tf.init_scope(), tf.device("cpu"):
                self._ids = tf.constant(self._split.ids)
        return self._ids


def count(augmentation: views.Augmentation | None, mixing_of_views: mixing.Mixing | None) -> int:
    """Return how many views an example has under an augmentation and a mixing; either may be None."""
    shown = augmentation.count if augmentation else 1
    return shown * mixing.VIEWS if mixing_of_views else shown
