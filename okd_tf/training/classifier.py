"""The model in which teachers, students and baselines are trained: a network with its objective."""

import keras
import tensorflow as tf

from okd_tf.losses import mixed_labels
from okd_tf.training import accuracy, gentle, optimizers


class Classifier(keras.Model):
    """A network trained on batches from `okd_tf.data.batches`.

    It runs in `okd_tf.training.loop`, and with plain `fit` on one host: compile it with `jit_compile=False`
    and give `fit` a dataset of such batches and `shuffle=False`, since they are already shuffled.
    """

    def __init__(
        self,
        network,
        objective,
        weight_optimizer,
        weight_decay=0.0,
        clip_norm=0.0,
        is_kept=None,
        warm_rate=1.0,
        frozen_steps=0,
        **kwargs,
    ):
        """Create the model from a built network pixels -> logits.

        Args:
            network: a built model.
            objective: an `Objective`.
            weight_optimizer: a Keras optimizer, not yet built; in float16 one returned by
                `optimizers.scaling`.
            weight_decay: L2 factor; weight_decay * w is added to each gradient.
            clip_norm: largest norm of the gradients before L2 is added; 0 disables clipping.
            is_kept: (name of a layer) -> whether it starts from pretrained weights; None: no layer does.
            warm_rate: learning-rate factor of pretrained layers.
            frozen_steps: number of first steps in which pretrained layers are frozen.
            **kwargs: arguments of `keras.Model`.

        Raises:
            UserError: a pretrained batch norm that cannot be frozen has to be; see `gentle.Gentle`.
        """
        super().__init__(**kwargs)
        self.network = network
        self.objective = objective
        self.weight_optimizer = weight_optimizer
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.weight_optimizer.build(network.trainable_variables)
        self._gentle = gentle.make([network], is_kept, warm_rate, frozen_steps, weight_optimizer)
        self.loss_metric = keras.metrics.Mean("loss")
        self.accuracy_metric = accuracy.metric()
        # XLA's depthwise convolution is many times slower than oneDNN's on CPU.
        self.supports_jit = False
        self.built = True

    def call(self, inputs, training=None):
        """Return the logits [batch, classes] of pixels [batch, height, width, channels]."""
        return self.network(inputs, training=training)

    def train_step(self, batch):
        """Make one step of the weights on a batch; return the metrics so far."""
        teacher_logits = self.objective.teacher_logits(batch)
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.network(batch["image"], training=True)
            loss = self.objective(batch, logits, teacher_logits)
            scaled = self.weight_optimizer.scale_loss(loss)
        optimizers.apply(
            self.weight_optimizer,
            optimizers.unscaled(self.weight_optimizer, tape.gradient(scaled, weights)),
            weights,
            clip_norm=self.clip_norm,
            beside=lambda gradients: optimizers.with_l2(gradients, weights, self.weight_decay),
            factors=gentle.factors(self._gentle, weights),
        )
        self.objective.record(self.loss_metric, batch, loss)
        self.accuracy_metric.update_state(mixed_labels.from_batch(batch), logits)
        return self.get_metrics_result()

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
