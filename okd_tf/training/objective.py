"""Which loss a network is trained with, and where its teachers' logits come from."""

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
        temperature: of the soft targets, > 0.
        ce_weight: share of the label's cross-entropy, in [0, 1].
        live_teachers: images [batch, height, width, channels] -> logits [batch, teachers, classes], asked
            when a batch carries no stored logits; None when all batches do, or the loss needs no teachers.
        settings: the loss's own, by their names in `losses.SETTINGS`; what is left out has its default.
        kd_weight: factor of the divergence from teachers or peers, not negative.
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
        """The teachers' logits for a batch, [batch, teachers, classes], or None if the loss needs none."""
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
        """Tells a `keras.metrics.Mean` of losses what this replica's share of a batch's loss was.

        It counts by examples, so that steps have the same weight on any number of devices.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        mean.update_state(share * replicas, sample_weight=tf.shape(batch["label"])[0])

    def __call__(self, batch, student_logits, teacher_logits):
        """The mean loss of this replica's examples, scaled so that the sum over replicas is the mean.

        Args:
            batch: has "label" int [batch], "heard" bool [batch, teachers] if not all teachers count, and
                "weight" float [batch] if examples' losses are to be multiplied by one; where images may be
                mixed, "label_b" and "share" too, see `mixed_labels.Labels`.
            student_logits: [batch, classes]; losses are computed in float32, whatever the network was.
            teacher_logits: [batch, teachers, classes], what `teacher_logits` gave.

        Returns:
            [].
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
