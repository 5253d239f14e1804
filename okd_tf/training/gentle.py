"""How layers that begin with kept weights are trained: slower than new ones, or at first not at all.

    w <- w - f(t) rate(t) gradient,   f(t) = 0 for t < frozen steps, then `rate`; 1 in new layers

While they are frozen, their batch norms compute with the moving statistics, which stay as they are: what new
layers learn from is the network that was trained. All of it is a function of the optimizer's step, so that a
training resumes in the phase it was in.
"""

import tensorflow as tf

from okd_tf import errors
from okd_tf.ops import batch_norm


class Gentle:
    """Of networks in training, which weights move by how much."""

    def __init__(self, networks, is_kept, rate, frozen_steps, optimizer):
        """Takes networks, and tells their batch norms when to stand still.

        Args:
            networks: as they are trained, their batch norms fused.
            is_kept: (name of a layer) -> whether it began with weights that are kept.
            rate: factor of the learning rate for such layers.
            frozen_steps: how many of the optimizer's steps they do not move at first.
            optimizer: of their weights.

        Raises:
            UserError: a batch norm that cannot stand still is to be frozen.
        """
        self._is_kept = is_kept
        self._rate = rate
        self._frozen_steps = frozen_steps
        self._optimizer = optimizer
        layers = [layer for network in networks for layer in network.layers if is_kept(layer.name)]
        self._kept = {id(weight) for layer in layers for weight in layer.trainable_variables}
        for network in networks:
            self.freeze(network)

    def freeze(self, network):
        """Tells the batch norms of a network when to stand still; as those of the constructor."""
        if not self._frozen_steps:
            return
        for layer in network.layers:
            if not self._is_kept(layer.name):
                continue
            if isinstance(layer, batch_norm.FusedBatchNormalization):
                layer.frozen = self.frozen
            elif type(layer).__name__ == "BatchNormalization":
                raise errors.UserError(
                    f"--frozen_epochs: layer '{layer.name}' normalises another axis than the last, and its "
                    "statistics cannot be kept from moving; leave --frozen_epochs out, and use --warm_rate"
                )

    def frozen(self):
        """Return whether kept weights stand still in the step that is being made: bool []."""
        step = tf.cast(tf.convert_to_tensor(self._optimizer.iterations), tf.int64)
        return step < self._frozen_steps

    def factors(self, weights):
        """What the step of each weight is multiplied by: scalars."""
        factor = self._rate
        if self._frozen_steps:
            factor = tf.where(self.frozen(), 0.0, factor)
        return [factor if id(weight) in self._kept else 1.0 for weight in weights]


def make(networks, is_kept, rate, frozen_steps, optimizer):
    """A `Gentle` of these arguments; None where all weights move alike."""
    if is_kept is None or (rate == 1.0 and not frozen_steps):
        return None
    return Gentle(networks, is_kept, rate, frozen_steps, optimizer)


def factors(gentle, weights):
    """The factors of each weight; None if all are 1, which `gentle` is None for."""
    return gentle and gentle.factors(weights)
