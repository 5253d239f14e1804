"""Training batches as a pure function of the global step.

Epoch e shows every example once, in an order that is a seeded permutation of its own; all examples show
their view number e (modulo the number of views). Nothing is carried from step to step, so a run resumed at
step n sees what the uninterrupted run saw.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from okd_tf import errors, seeds
from okd_tf.data import examples, hashing, views

Batch = dict[str, tf.Tensor]
# (rows int64 [batch] in the split, views int64 [batch]) -> float32 [batch, teachers, classes]
TeacherLogits = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Batches:
    """Batches of one split; see `batch` for what is in one.

    Attributes:
        split: what they are of.
        batch_size: examples in each.
        steps_per_epoch: full batches of the split.
        failure: why images or logits could not be read, if so; TensorFlow passes on its text alone.
    """

    def __init__(
        self,
        split: examples.Examples,
        batch_size: int,
        seed: int,
        augmentation: views.CropFlip | None = None,
        view_seed: int = 0,
        num_views: int = 0,
        teacher_logits: TeacherLogits | None = None,
        heard: np.ndarray | None = None,
    ):
        """Takes a split and how to look at it.

        Args:
            seed: of the order of examples.
            augmentation: None shows the images as they are.
            view_seed: of the views; must be the one a view bank was written with.
            num_views: how many views of each example are in use; 0 is all there are.
            teacher_logits: reads stored logits for rows and views, or None.
            heard: bool [examples, teachers], whose logits count for which row of the split; None is all.

        Raises:
            UserError: the split is smaller than one batch.
        """
        if len(split) < batch_size:
            raise errors.UserError(
                f"--batch_size: {batch_size} is more than the {len(split)} examples of a split; "
                f"use at most {len(split)}"
            )
        self.split = split
        self.batch_size = batch_size
        self.steps_per_epoch = len(split) // batch_size
        self._seed = seeds.derive(seed, "order of examples")
        self._augmentation = augmentation
        self._view_seed = seeds.derive(view_seed, "views")
        self._num_views = num_views or (augmentation.count if augmentation else 1)
        self._teacher_logits = teacher_logits
        self._heard = heard
        self.failure: errors.UserError | None = None
        self._arrays: tuple[tf.Tensor, ...] | None = None
        self._images: tf.Tensor | None = None

    def batch(self, step: tf.Tensor, part: tf.Tensor | int = 0, parts: int = 1) -> Batch:
        """The batch of a global step, or one of equal parts of it.

        Returns a dict of "id" int64 [batch], "view" int64 [batch], "image" float32 [batch, height, width,
        channels] (pixel values 0..255), "label" int32 [batch] and, with stored logits, "teacher_logits"
        float32 [batch, teachers, classes]; if not all teachers count, "heard" bool [batch, teachers].
        """
        ids, labels, *heard = self._tensors()
        step = tf.cast(step, tf.int64)
        epoch, position = step // self.steps_per_epoch, step % self.steps_per_epoch
        size = self.batch_size // parts
        first = position * self.batch_size + tf.cast(part, tf.int64) * size
        rows = self._shuffled(first + tf.range(size, dtype=tf.int64), epoch)
        shown = tf.fill([size], epoch % self._num_views)
        batch = {"id": tf.gather(ids, rows), "view": shown, "label": tf.gather(labels, rows)}
        pixels = self._pixels(rows)
        if self._augmentation is not None:
            pixels = self._augmentation.apply(pixels, batch["id"], shown, self._view_seed)
        batch["image"] = tf.cast(pixels, tf.float32)
        if self._teacher_logits is not None:
            logits = tf.numpy_function(self._noting(self._teacher_logits), [rows, shown], tf.float32)
            batch["teacher_logits"] = tf.ensure_shape(logits, [size, None, None])
        if heard:
            batch["heard"] = tf.gather(heard[0], rows)
        return batch

    def dataset(self, start: int, stop: int) -> tf.data.Dataset:
        """Batches of the global steps start..stop-1, prepared in the background."""
        return self.portions(start, stop, range(1), 1)

    def portions(self, start: int, stop: int, wanted: range, parts: int) -> tf.data.Dataset:
        """The wanted ones, one after the other, of the equal parts of each batch of these steps."""
        self._tensors()
        count = len(wanted)
        numbers = tf.data.Dataset.range(start * count, stop * count)

        # Nothing in it is for AutoGraph, which takes seconds to look at all that it calls.
        @tf.autograph.experimental.do_not_convert
        def portion(number: tf.Tensor) -> Batch:
            return self.batch(number // count, wanted.start + number % count, parts)

        return numbers.map(portion, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _pixels(self, rows: tf.Tensor) -> tf.Tensor:
        """The images of these rows, uint8 [batch, height, width, channels]."""
        images = self.split.images
        if isinstance(images, np.ndarray):
            assert self._images is not None
            return tf.gather(self._images, rows)
        serialized = tf.numpy_function(self._noting(images.serialized), [rows], tf.string)
        return images.decode(tf.ensure_shape(serialized, rows.shape))

    def _noting(self, read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        """A reader that notes why it failed."""

        def noting(*which: np.ndarray) -> np.ndarray:
            try:
                return read(*which)
            except errors.UserError as error:
                self.failure = error
                raise

        return noting

    def _shuffled(self, index: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Which rows stand at these positions of an epoch's order: int64 [batch] -> int64 [batch]."""
        last = tf.constant(len(self.split) - 1, tf.int64)
        # Twice: the orders that one shuffle gives to two epochs have runs in common.
        for seed in (self._seed, self._seed + 1):
            key = tf.stack(hashing.halves(hashing.splitmix64(epoch, seed)))
            index = tf.random.experimental.index_shuffle(index, key, last)
        return index

    def _tensors(self) -> tuple[tf.Tensor, ...]:
        # Made once and captured by tf.data by reference: a NumPy array would be copied into each graph.
        if self._arrays is None:
            with tf.init_scope(), tf.device("cpu"):
                arrays = [self.split.ids, self.split.labels]
                if self._heard is not None:
                    arrays.append(self._heard)
                if isinstance(self.split.images, np.ndarray):
                    self._images = tf.constant(self.split.images)
                self._arrays = tuple(tf.constant(array) for array in arrays)
        return self._arrays
