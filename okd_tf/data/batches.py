"""Training batches as a pure function of the global step.

Which examples a step shows, and in which views (modulo the number of views), is said by an `order`: every
example once an epoch, or every class equally often. Nothing is carried from step to step, so a run resumed
at step n sees what the uninterrupted run saw.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from okd_tf import errors, seeds
from okd_tf.data import examples, mixing, order, split_views, streamed, views

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
        augmentation: views.Augmentation | None = None,
        view_seed: int = 0,
        num_views: int = 0,
        teacher_logits: TeacherLogits | None = None,
        heard: np.ndarray | None = None,
        balanced: bool = False,
        class_weights: np.ndarray | None = None,
        mixing_of_views: mixing.Mixing | None = None,
    ):
        """Takes a split and how to look at it.

        Args:
            seed: of the order of examples.
            augmentation: None shows the images as they are.
            view_seed: of the views; must be the one a view bank was written with.
            num_views: how many views of each example are in use; 0 is all there are.
            teacher_logits: reads stored logits for rows and views, or None.
            heard: bool [examples, teachers], whose logits count for which row of the split; None is all.
            balanced: whether every class comes equally often, and not every example.
            class_weights: float32 [classes], of each example's loss by its class; None is none.
            mixing_of_views: how views are mixed with those of other examples; None is not.

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
        self._order = _order(split, batch_size * self.steps_per_epoch, seed, balanced)
        self._views = split_views.SplitViews(split, augmentation, mixing_of_views, view_seed)
        self._num_views = num_views or self._views.count
        self._teacher_logits = teacher_logits
        self._of_rows: dict[str, np.ndarray] = {"id": split.ids, "label": split.labels}
        if heard is not None:
            self._of_rows["heard"] = heard
        if class_weights is not None:
            self._of_rows["weight"] = class_weights[split.labels]
        self.failure: errors.UserError | None = None
        self._tensors_of_rows: dict[str, tf.Tensor] | None = None
        self._images: tf.Tensor | None = None

    def batch(self, step: tf.Tensor, part: tf.Tensor | int = 0, parts: int = 1) -> Batch:
        """The batch of a global step, or one of equal parts of it.

        Returns a dict of "id" int64 [batch], "view" int64 [batch], "image" float32 [batch, height, width,
        channels] (pixel values 0..255), "label" int32 [batch] and, with stored logits, "teacher_logits"
        float32 [batch, teachers, classes]; if not all teachers count, "heard" bool [batch, teachers]; with
        weights of classes, "weight" float32 [batch].

        Of mixed views also "id_b" int64 [batch] and "label_b" int32 [batch], of the examples that are mixed
        in, and "share" float32 [batch] in (0, 1], how much of an image is the example's own: 1 is all, and
        then the others are its own too. A teacher is heard of a mixed image if it is of both examples, and
        weights are the mean of the two by their shares.
        """
        of_rows = self._tensors()
        size = self.batch_size // parts
        first = tf.cast(step, tf.int64) * self.batch_size + tf.cast(part, tf.int64) * size
        rows, shown = self._order(first + tf.range(size, dtype=tf.int64))
        shown %= self._num_views
        batch = {"view": shown, **{name: tf.gather(values, rows) for name, values in of_rows.items()}}
        images, partners, share = self._views.show(rows, shown, self._pixels)
        if partners is not None and share is not None:
            partners = tf.where(share < 1, partners, rows)
            other = {name: tf.gather(values, partners) for name, values in of_rows.items()}
            batch |= _of_both(batch, other, share)
        batch["image"] = tf.cast(images, tf.float32)
        if self._teacher_logits is not None:
            logits = tf.numpy_function(self._noting(self._teacher_logits), [rows, shown], tf.float32)
            batch["teacher_logits"] = tf.ensure_shape(logits, [size, None, None])
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

        return numbers.map(portion, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

    def _pixels(self, rows: tf.Tensor) -> tf.Tensor:
        """The images of these rows, uint8 [batch, height, width, channels]."""
        images = self.split.images
        if isinstance(images, streamed.Streamed):
            serialized = tf.numpy_function(self._noting(images.serialized), [rows], tf.string)
            return images.decode(tf.ensure_shape(serialized, rows.shape))
        return tf.gather(self._images, rows)

    def _noting(self, read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        """A reader that notes why it failed."""

        def noting(*which: np.ndarray) -> np.ndarray:
            try:
                return read(*which)
            except errors.UserError as error:
                self.failure = error
                raise

        return noting

    def _tensors(self) -> dict[str, tf.Tensor]:
        """By its name what each row has of its own beside its image; images in memory are ready then too."""
        # Made once and captured by tf.data by reference: a NumPy array would be copied into each graph.
        if self._tensors_of_rows is None:
            with tf.init_scope(), tf.device("cpu"):
                of_rows = {name: tf.constant(values) for name, values in self._of_rows.items()}
                if isinstance(self.split.images, np.ndarray):
                    self._images = tf.constant(self.split.images)
                self._tensors_of_rows = of_rows
        return self._tensors_of_rows


def _of_both(own: Batch, other: Batch, share: tf.Tensor) -> Batch:
    """Return what a batch of mixed views has beside, or in place of, what each row has of its own."""
    both = {"share": share, "id_b": other["id"], "label_b": other["label"]}
    if "heard" in own:
        both["heard"] = own["heard"] & other["heard"]
    if "weight" in own:
        both["weight"] = share * own["weight"] + (1 - share) * other["weight"]
    return both


def _order(split: examples.Examples, epoch_positions: int, seed: int, balanced: bool) -> order.Order:
    own = seeds.derive(seed, "order of examples")
    if balanced:
        return order.Balanced(split.labels, own)
    return order.Shuffled(len(split), epoch_positions, own)
