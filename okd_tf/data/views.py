"""Augmentation as a pure function of (example id, view number, seed).

The views of an image are a finite set: every offset of a padded crop, each plain or mirrored. For each
example a seeded permutation puts them in an order of its own; view number v is the v-th in that order. So
the views numbered 0..K-1 are K different ones, teachers can look at each once, and whoever asks for view v
of example i again, in any process or batch, gets the same pixels.
"""

import dataclasses
import math

import tensorflow as tf

from okd_tf.data import hashing


@dataclasses.dataclass(frozen=True)
class CropFlip:
    """Zero-padding by `padding` pixels, a crop back to size somewhere; with `flip`, a mirror image too."""

    padding: int
    flip: bool

    @property
    def count(self) -> int:
        """How many distinct views an image has: (2 padding + 1)^2, twice that with flips."""
        return (2 * self.padding + 1) ** 2 * (2 if self.flip else 1)

    def codes(self, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Which of the `count` views these are.

        ids int64 [batch], views int64 [batch] (counted modulo `count`) -> int64 [batch] in [0, count).
        The order of an example's views starts anywhere and goes in equal steps that share no factor with
        `count`, modulo `count`: so it meets each view once.
        """
        steps = tf.constant([step for step in range(self.count) if math.gcd(step, self.count) == 1], tf.int64)
        low, high = hashing.halves(hashing.splitmix64(ids, seed))
        first, step = low % self.count, tf.gather(steps, high % tf.size(steps, tf.int64))
        return (first + step * (views % self.count)) % self.count

    def apply(self, images: tf.Tensor, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Makes one view of each image.

        images [batch, height, width, channels] of any type, ids and views int64 [batch] -> the same shape
        and type. The whole batch is one gather.
        """
        side = 2 * self.padding + 1
        codes = self.codes(ids, views, seed)
        mirrored, codes = codes // side**2, codes % side**2
        top, left = codes // side, codes % side
        batch, height, width, channels = (tf.shape(images, tf.int64)[axis] for axis in range(4))
        columns = tf.range(width)[tf.newaxis]
        columns = tf.where(mirrored[:, tf.newaxis] == 1, width - 1 - columns, columns) + left[:, tf.newaxis]
        rows = tf.range(height)[tf.newaxis] + top[:, tf.newaxis]
        border = [self.padding, self.padding]
        padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
        padded_height, padded_width = height + 2 * self.padding, width + 2 * self.padding
        first = (tf.range(batch) * padded_height)[:, tf.newaxis] + rows
        pixels = first[:, :, tf.newaxis] * padded_width + columns[:, tf.newaxis, :]
        views_of_images = tf.gather(tf.reshape(padded, [-1, channels]), pixels)
        return tf.ensure_shape(views_of_images, images.shape)


def usual(image_shape: tuple[int, int, int], flip: bool = True) -> CropFlip:
    """What images of a shape (height, width, channels) are shown as where nobody says otherwise.

    The crop is padded by an eighth of the height: 4 pixels at 32, as is the custom for CIFAR, 8 at 64.
    """
    return CropFlip(padding=max(1, image_shape[0] // 8), flip=flip)
