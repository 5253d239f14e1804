"""Every offset of a padded crop, each plain or mirrored."""

import dataclasses

import tensorflow as tf

from okd_tf.data.views import numbering


@dataclasses.dataclass(frozen=True)
class CropFlip:
    """Zero-padding by `padding` pixels, a crop back to size somewhere; with `flip`, a mirror image too.

    Without padding and flip it shows the image as it is, in its one view.
    """

    padding: int
    flip: bool

    @property
    def count(self) -> int:
        """How many distinct views an image has: (2 padding + 1)^2, twice that with flips."""
        return (2 * self.padding + 1) ** 2 * (2 if self.flip else 1)

    def codes(self, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Which of the `count` views these are, as `numbering.codes` says."""
        return numbering.codes(self.count, ids, views, seed)

    def apply(self, images: tf.Tensor, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Makes one view of each image.

        images [batch, height, width, channels] of any type, ids and views int64 [batch] -> the same shape
        and type.
        """
        return self.show(images, self.codes(ids, views, seed))

    def show(self, images: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
        """The views of these codes int64 [batch], else as `apply`. The whole batch is one gather."""
        side = 2 * self.padding + 1
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
