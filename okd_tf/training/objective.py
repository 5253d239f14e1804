"""The objective of a training: its loss, and the source of its teachers' logits."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from okd_tf import errors, losses
from okd_tf.losses import mixed_labels


@dataclasses.dataclass(frozen=True)
class Objective:
    """A registered loss with its settings.

    Attributes:
        name: a key of KD_LOSSES.
        temperature: temperature of the soft targets, > 0.
        ce_weight: weight of the cross-entropy with the label, in [0, 1].
        live_teachers: images [batch, height, width, channels] -> logits [batch, teachers, classes], called
            for a batch without stored logits; None if all batches have them, or the loss needs no teachers.
        settings: the loss's own settings, by their names in `losses.SETTINGS`; missing ones have their
            defaults.
        kd_weight: factor of the divergence from teachers or peers, not negative.

    Raises:
        UserError: unknown loss.
        ValueError: a setting that the loss does not have.
    """

    name: str
    temperature: float = 4.0
    ce_weight: float = 0.0
    live_teachers: Callable[[tf.Tensor], tf.Tensor] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kd_weight: float = 1.0

    def __post_init__(self):
        if self.name not in losses.KD_LOSSES:
            raise errors.unknown("loss", self.name, losses.KD_LOSSES)
        unknown = set(self.settings) - set(losses.SETTINGS[self.name])
        if unknown:
            raise ValueError(f"loss '{self.name}' takes no setting {', '.join(sorted(unknown))}")

    def teacher_logits(self, batch):
        """Return the teachers' logits [batch, teachers, classes] for a batch, or None if the loss needs none.

        Raises:
            ValueError: the loss needs peers; or it needs teachers, and there are neither stored logits nor
                live teachers.
        """
        if self.name in losses.NEEDS_PEERS:
            raise ValueError(f"loss '{self.name}' is of networks that train together: use `training.mutual`")
        if self.name not in losses.NEEDS_TEACHERS:
            return None
        if "teacher_logits" in batch:
            return batch["teacher_logits"]
        if self.live_teachers is None:
            raise ValueError(f"loss '{self.name}' needs teachers; the batch has no 'teacher_logits'")
        return tf.stop_gradient(self.live_teachers(batch["image"]))

    @staticmethod
    def record(mean, batch, share):
        """Add this replica's share of a batch's loss to a `keras.metrics.Mean` of losses.

        The mean is weighted by examples, so that steps have the same weight on any number of devices.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        mean.update_state(share * replicas, sample_weight=tf.shape(batch["label"])[0])

    def __call__(self, batch, student_logits, teacher_logits):
        """Return the mean loss of this replica's examples, scaled so that the sum over replicas is the mean.

        Args:
            batch: has "label" int [batch]; "heard" bool [batch, teachers], a teacher mask, if not all
                teachers count; "weight" float [batch] if the examples' losses are weighted; and, where images
                may be mixed, "label_b" and "share", see `mixed_labels.Labels`.
            student_logits: [batch, classes], in any precision; losses are computed in float32.
            teacher_logits: [batch, teachers, classes], the result of `teacher_logits`.

        Returns:
            float32 [].
        """
        per_example = losses.KD_LOSSES[self.name](
            mixed_labels.from_batch(batch),
            tf.cast(student_logits, tf.float32),
            None if teacher_logits is None else tf.cast(teacher_logits, tf.float32),
            self.temperature,
            self.ce_weight,
            heard=batch.get("heard"),
            kd_weight=self.kd_weight,
            **self.settings,
        )
        if "weight" in batch:
            per_example *= batch["weight"]
        return tf.reduce_mean(per_example) / tf.distribute.get_strategy().num_replicas_in_sync
