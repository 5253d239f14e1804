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

    [batch, height, width, channels] -> the same shape. With `synchronized=True`, statistics are taken over
    all replicas of a distribution strategy; that, and an input of another rank, is Keras's own unfused
    computation.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalises by the batch's statistics in training, by the moving ones otherwise."""
        if self.synchronized or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
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
    if not (config["scale"] and config["center"] and config["axis"] in (-1, 3)) or config.get("renorm"):
        return layer
    return FusedBatchNormalization.from_config({**config, "synchronized": synchronized})


def fused_copy(model, synchronized=False):
    """A copy of a Functional model, same weights, with fused batch norm: the twin to train."""
    copy = keras.models.clone_model(model, clone_function=lambda layer: fused_clone(layer, synchronized))
    copy.set_weights(model.get_weights())
    return copy


def fused_clone(layer, synchronized=False):
    """A freshly initialised copy of a layer, fused if it is a batch norm: for `clone_model`."""
    return fuse(layer.__class__.from_config(layer.get_config()), synchronized)


def stock_copy(model):
    """A copy of a Functional model, same weights, whose batch norms are Keras's own: the twin to save."""
    copy = keras.models.clone_model(model, clone_function=_stock_clone)
    copy.set_weights(model.get_weights())
    return copy


def _stock_clone(layer):
    if isinstance(layer, FusedBatchNormalization):
        return keras.layers.BatchNormalization.from_config({**layer.get_config(), "synchronized": False})
    return layer.__class__.from_config(layer.get_config())
