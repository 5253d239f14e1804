"""Deep mutual learning (Zhang et al., CVPR 2018): two networks learn from the labels and from each other.

Both step at once, each on the other's logits before the step. In the paper the second network learns from
the first after the first's step; stepping at once favours neither, and saves a forward pass.
"""

import keras
import tensorflow as tf

from okd_tf.losses import mixed_labels
from okd_tf.training import accuracy, gentle, optimizers


class Pair(keras.Model):
    """Two networks that train on the same batches and learn from each other, in `okd_tf.training.loop`."""

    def __init__(
        self,
        networks,
        objective,
        weight_optimizer,
        weight_decay=0.0,
        clip_norm=0.0,
        is_kept=None,
        warm_rate=1.0,
        frozen_steps=0,
        **kwargs,
    ):
        """Create the model from two built networks pixels -> logits.

        Args:
            networks: two built models.
            objective: an `Objective` of a loss in `losses.NEEDS_PEERS`.
            weight_optimizer: a Keras optimizer for the weights of both, not yet built; in float16 one
                returned by `optimizers.scaling`.
            weight_decay: L2 factor; weight_decay * w is added to each gradient.
            clip_norm: largest norm of the gradients of each network before L2 is added; 0 disables clipping.
            is_kept: (name of a layer) -> whether it starts from pretrained weights; None: no layer does.
            warm_rate: learning-rate factor of pretrained layers.
            frozen_steps: number of first steps in which pretrained layers are frozen.
            **kwargs: arguments of `keras.Model`.

        Raises:
            UserError: a pretrained batch norm that cannot be frozen has to be; see `gentle.Gentle`.
        """
        super().__init__(**kwargs)
        self.network, self.peer = networks
        self.objective = objective
        self.weight_optimizer = weight_optimizer
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.weight_optimizer.build(self._weights())
        self._gentle = gentle.make(networks, is_kept, warm_rate, frozen_steps, weight_optimizer)
        self.loss_metrics = [keras.metrics.Mean(name) for name in ("loss", "peer_loss")]
        self.accuracy_metrics = [accuracy.metric(name) for name in ("accuracy", "peer_accuracy")]
        # XLA's depthwise convolution is many times slower than oneDNN's on CPU.
        self.supports_jit = False
        self.built = True

    def _weights(self):
        return [*self.network.trainable_variables, *self.peer.trainable_variables]

    def call(self, inputs, training=None):
        """Return the first network's logits [batch, classes] of pixels [batch, height, width, channels]."""
        return self.network(inputs, training=training)

    def train_step(self, batch):
        """Make one step of both networks on a batch; return the metrics so far."""
        labels, weights = mixed_labels.from_batch(batch), self._weights()
        with tf.GradientTape() as tape:
            logits = [network(batch["image"], training=True) for network in (self.network, self.peer)]
            losses = [
                self.objective(batch, logits[own], logits[other][:, tf.newaxis])
                for own, other in ((0, 1), (1, 0))
            ]
            scaled = [self.weight_optimizer.scale_loss(loss) for loss in losses]
        optimizers.apply(
            self.weight_optimizer,
            optimizers.unscaled(self.weight_optimizer, tape.gradient(scaled, weights)),
            weights,
            beside=self._clipped_with_l2,
            factors=gentle.factors(self._gentle, weights),
        )
        for index in (0, 1):
            self.objective.record(self.loss_metrics[index], batch, losses[index])
            self.accuracy_metrics[index].update_state(labels, logits[index])
        return self.get_metrics_result()

    def _clipped_with_l2(self, gradients):
        if self.clip_norm:
            count = len(self.network.trainable_variables)
            # As two trainings would: what one of them does must not hold the other back.
            gradients = [
                *optimizers.clipped(gradients[:count], self.clip_norm),
                *optimizers.clipped(gradients[count:], self.clip_norm),
            ]
        return optimizers.with_l2(gradients, self._weights(), self.weight_decay)

    def optimizer_variables(self):
        """Return the variables a checkpoint needs in addition to the model's own: the optimizer's."""
        return list(self.weight_optimizer.variables)

    def all_optimizers(self):
        """Return the optimizers of `train_step`, keyed by what they update."""
        return {"weights": self.weight_optimizer}

    def scalars(self):
        """Return the numbers to record in addition to the metrics: learning rate and loss scale."""
        return {
            "learning_rate": float(self.weight_optimizer.learning_rate),
            **optimizers.scalars(self.weight_optimizer, "weights"),
        }
