"""Batch normalisation for training graphs: the numbers of Keras's layer, at the speed of the fused kernel.

Keras 3 computes moments and the affine map as separate TensorFlow ops; `FusedBatchNormV3` does it in one
kernel, forward and backward, which is worth a fifth of a ResNet's step on CPU. Networks are written with the
stock layer; `fused_copy` makes the training twin of one and `stock_copy` goes back, so no file that leaves
here holds anything but stock layers.
"""

import keras
import tensorflow as tf

MOMENTUM = 0.9  # of the moving statistics; Keras's 0.99 lags behind in short trainings
EPSILON = 1e-5


@keras.saving.register_keras_serializable("okd_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, computed by `FusedBatchNormV3`.

    [batch, height, width, channels] -> the same shape, with or without `scale` and `center`. With
    `synchronized=True`, statistics are taken over all replicas of a distribution strategy; that, and an input
    of another rank, is Keras's own unfused computation.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalises by the batch's statistics in training, by the moving ones otherwise."""
        if self.synchronized or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        gamma = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(self.moving_mean.value)
        beta = tf.convert_to_tensor(self.beta) if self.center else tf.zeros_like(self.moving_mean.value)
        if not (training and self.trainable):
            outputs, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=gamma,
                offset=beta,
                mean=tf.convert_to_tensor(self.moving_mean),
                variance=tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=False,
            )
            return outputs
        nothing = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=self.epsilon
        )
        # The kernel gives the unbiased variance; Keras's layer keeps the biased one.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (count - 1.0) / count
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs


def stock(name):
    """The batch norm that every network here is written with."""
    return keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=name)


def fuse(layer, synchronized=False):
    """The fused twin of a stock batch norm that it can stand for; any other layer as it is."""
    if type(layer) is not keras.layers.BatchNormalization:
        return layer
    config = layer.get_config()
    if config["axis"] not in (-1, 3) or config.get("renorm"):
        return layer
    return FusedBatchNormalization.from_config({**config, "synchronized": synchronized})


def fused_copy(model, synchronized=False):
    """The training twin of a Functional model: fused batch norms in place of stock ones, same weights.

    All other layers are the model's own, shared and not copied: a copy made from a layer's config and weights
    can lack state that is in neither, such as what a `Normalization` layer has adapted to.
    """
    return _with_batch_norms(model, lambda layer: fuse(layer, synchronized))


def fused_clone(layer, synchronized=False):
    """A freshly initialised copy of a layer, fused if it is a batch norm: for `clone_model`."""
    return fuse(layer.__class__.from_config(layer.get_config()), synchronized)


def stock_copy(model):
    """The twin to save: Keras's own batch norms in place of fused ones, same weights; other layers shared."""

    def stock_twin(layer):
        if not isinstance(layer, FusedBatchNormalization):
            return layer
        return keras.layers.BatchNormalization.from_config({**layer.get_config(), "synchronized": False})

    return _with_batch_norms(model, stock_twin)


def _with_batch_norms(model, twin):
    """A model whose layers are `twin(layer)`; a twin that is another layer gets the layer's weights."""
    copy = keras.models.clone_model(model, clone_function=twin)
    for old, new in zip(model.layers, copy.layers, strict=True):
        if new is not old:
            new.set_weights(old.get_weights())
    return copy
