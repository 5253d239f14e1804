"""Training of layers that start from pretrained weights: at a lower rate than new ones, or frozen at first.

    w <- w - f(t) rate(t) gradient,   f(t) = 0 for t < frozen steps, then `rate`; 1 in new layers

While layers are frozen, their batch norms compute with the moving statistics and leave them unchanged: new
layers learn from the network as it was pretrained. All of this is a function of the optimizer's step, so a
resumed training is in the same phase.
"""

import tensorflow as tf

from okd_tf import errors
from okd_tf.ops import batch_norm


class Gentle:
    """Learning-rate factors of the weights of networks in training, and the freezing of their batch norms."""

    def __init__(self, networks, is_kept, rate, frozen_steps, optimizer):
        """Create the factors, and tell the networks' batch norms when they are frozen.

        Args:
            networks: the networks as they are trained, their batch norms fused.
            is_kept: (name of a layer) -> whether it starts from pretrained weights.
            rate: learning-rate factor of pretrained layers.
            frozen_steps: number of the optimizer's first steps in which they are frozen.
            optimizer: the optimizer of the networks' weights.

        Raises:
            UserError: a batch norm that cannot be frozen has to be.
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
        """Tell the batch norms of a network when they are frozen, as the constructor does for its networks.

        Raises:
            UserError: a batch norm normalises another axis than the last and cannot be frozen.
        """
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
        """Return whether pretrained weights are frozen in the step being made: bool []."""
        step = tf.cast(tf.convert_to_tensor(self._optimizer.iterations), tf.int64)
        return step < self._frozen_steps

    def factors(self, weights):
        """Return the factor of each weight's step: a list of scalars."""
        factor = self._rate
        if self._frozen_steps:
            factor = tf.where(self.frozen(), 0.0, factor)
        return [factor if id(weight) in self._kept else 1.0 for weight in weights]


def make(networks, is_kept, rate, frozen_steps, optimizer):
    """Return a `Gentle` of these arguments, or None if all weights have the same learning rate."""
    if is_kept is None or (rate == 1.0 and not frozen_steps):
        return None
    return Gentle(networks, is_kept, rate, frozen_steps, optimizer)


def factors(gentle, weights):
    """Return the learning-rate factor of each weight; None, if `gentle` is None, means 1 for all."""
    return gentle and gentle.factors(weights)
