"""Views that are those of crops and mirrors, with operations applied to them."""

import dataclasses
import functools

import tensorflow as tf

from okd_tf.data.views import crop_flip, numbering, operations

LARGEST_MAGNITUDE = 30  # RandAugment's; a level of 1


@dataclasses.dataclass(frozen=True)
class Operated:
    """A view of `base`, then `number` operations out of those named, one after the other, with replacement.

    Each is applied at the same magnitude, in 0..30, and those that have a sign with either.
    """

    base: crop_flip.CropFlip
    names: tuple[str, ...]
    number: int
    magnitude: int

    @property
    def count(self) -> int:
        """How many views an image has: those of `base` times (operations and signs)^number."""
        return self.base.count * len(self._variants) ** self.number

    def apply(self, images: tf.Tensor, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Makes one view of each image.

        images uint8 [batch, height, width, channels] of 1 or 3 channels, ids and views int64 [batch] -> the
        same shape and type.
        """
        codes = numbering.codes(self.count, ids, views, seed)
        number = len(self._variants)
        shown = self.base.show(images, codes // number**self.number)
        for place in range(self.number):
            shown = self._operated(shown, codes // number**place % number)
        return tf.ensure_shape(shown, images.shape)

    @functools.cached_property
    def _variants(self) -> list[tuple[operations.Function, float]]:
        """All that one of the operations may be: a function and its level."""
        level = self.magnitude / LARGEST_MAGNITUDE
        return [
            (operation.function, sign * level)
            for operation in (operations.OPERATIONS[name] for name in self.names)
            for sign in ((1, -1) if operation.signed else (1,))
        ]

    def _operated(self, images: tf.Tensor, variants: tf.Tensor) -> tf.Tensor:
        """Images after the operation of each: variants int64 [batch], which of them."""
        which, number = tf.cast(variants, tf.int32), len(self._variants)
        places = tf.dynamic_partition(tf.range(tf.size(which)), which, number)
        parts = tf.dynamic_partition(images, which, number)
        done = [function(part, level) for part, (function, level) in zip(parts, self._variants, strict=True)]
        return tf.dynamic_stitch(places, done)
