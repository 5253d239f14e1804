"""Batch normalisation for training graphs: the results of Keras's layer, at the speed of the fused kernel.

Keras 3 computes moments and the affine map as separate TensorFlow ops; `FusedBatchNormV3` does it in one
kernel, forward and backward, which saves a fifth of a ResNet's step on CPU. Networks are written with the
stock layer; `fused_copy` makes their training twins and `stock_copy` converts back, so every saved file holds
stock layers only.
"""

import keras
import tensorflow as tf

from okd_tf.ops import precision, strided_conv

MOMENTUM = 0.9  # of the moving statistics; Keras's 0.99 lags behind in short trainings
EPSILON = 1e-5


@keras.saving.register_keras_serializable("okd_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, computed by `FusedBatchNormV3`.

    [batch, height, width, channels] -> the same shape, with or without `scale` and `center`. With
    `synchronized=True`, statistics are taken over all replicas of a distribution strategy. On one replica, an
    input of another rank uses Keras's own unfused computation.

    Attributes:
        frozen: () -> bool [], whether the layer normalises by the moving statistics in training too, and
            leaves them unchanged; None: never. It is no part of the configuration.
    """

    frozen = None

    def add_weight(self, *args, **kwargs):
        """Create a weight that is always read as float32, as the kernel needs it in any precision."""
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def call(self, inputs, training=None, mask=None):
        """Normalise by the batch's statistics in training, by the moving ones otherwise."""
        together = self.synchronized and training and self.trainable and mask is None and _replicas() > 1
        can_freeze = self.frozen is not None and training and self.trainable and mask is None
        if len(inputs.shape) != 4 and not together and not can_freeze:
            return super().call(inputs, training=training, mask=mask)
        gamma = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(self.moving_mean.value)
        beta = tf.convert_to_tensor(self.beta) if self.center else tf.zeros_like(self.moving_mean.value)
        if not (training and self.trainable):
            statistics = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
            return _affine(inputs, gamma, beta, *statistics, self.epsilon)
        keep = self.momentum
        if can_freeze:
            frozen = self.frozen()
            outputs, mean, variance = self._unless(frozen, inputs, gamma, beta, together)
            keep = tf.where(frozen, 1.0, keep)
        elif together:
            outputs, mean, variance = _over_replicas(inputs, gamma, beta, self.epsilon)
        else:
            outputs, mean, variance = _fused(inputs, gamma, beta, self.epsilon)
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs

    def _unless(self, frozen, inputs, gamma, beta, together):
        """Return (outputs, mean, variance) by the moving statistics if `frozen`, else by the batch's."""
        moving = [tf.convert_to_tensor(value) for value in (self.moving_mean, self.moving_variance)]
        flat = tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]]) if len(inputs.shape) != 4 else inputs

        def by_moving():
            return _affine(flat, gamma, beta, *moving, self.epsilon), *moving

        def by_batch():
            found = _over_replicas if together else _fused
            return found(flat, gamma, beta, self.epsilon)

        if together:
            # Replicas cannot exchange their statistics from within a branch.
            pairs = zip(by_moving(), by_batch(), strict=True)
            outputs, *statistics = [tf.where(frozen, one, other) for one, other in pairs]
        else:
            outputs, *statistics = tf.cond(frozen, by_moving, by_batch)
        return tf.ensure_shape(tf.reshape(outputs, tf.shape(inputs)), inputs.shape), *statistics


def _replicas():
    """Return how many replicas of a strategy run the current call; 1 outside of them."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def _fused(inputs, gamma, beta, epsilon):
    """Return (outputs, mean, biased variance) of a batch [batch, height, width, channels]."""
    nothing = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=epsilon
    )
    # The kernel gives the unbiased variance; Keras's layer keeps the biased one.
    count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
    return outputs, mean, variance * (count - 1.0) / count


def _affine(inputs, gamma, beta, mean, variance, epsilon):
    """Return a batch [batch, height, width, channels] normalised by given statistics."""
    outputs, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=False,
    )
    return outputs


def _over_replicas(inputs, gamma, beta, epsilon):
    """Return `_fused` of the whole batch, of which each replica has an equal part; inputs of any rank.

    Replicas exchange their own means and variances, and on the way back the gradients of gamma and beta: one
    all-reduce each. A variance made of these keeps its full precision; one made of means of squares does not.
    """
    shape = tf.shape(inputs)
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync

    def total(value):
        return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

    @tf.custom_gradient
    def normalized(inputs, gamma, beta):
        _, *own = _fused(inputs, tf.ones_like(gamma), tf.zeros_like(beta), epsilon)
        # A row for each replica, of which all but its own are 0: the sum is the table of all.
        row = tf.one_hot(context.replica_id_in_sync_group, replicas)
        means, variances = tf.unstack(total(row * tf.stack(own)[..., tf.newaxis]))
        mean = tf.reduce_mean(means, axis=-1)
        variance = tf.reduce_mean(variances + tf.square(means - mean[:, tf.newaxis]), axis=-1)
        outputs = _affine(inputs, gamma, beta, mean, variance, epsilon)

        def gradient(upstream, *_):
            # With mean and variance held; they depend on the inputs as well, which the rest is for.
            held, by_gamma, by_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=inputs,
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros([0]),
                epsilon=epsilon,
                is_training=False,
            )
            all_gamma, all_beta = tf.unstack(total(tf.stack([by_gamma, by_beta])))
            count = tf.cast(replicas * tf.size(inputs) // tf.size(gamma), gamma.dtype)
            share = gamma * tf.math.rsqrt(variance + epsilon) / count
            by_statistics = _affine(inputs, share * all_gamma, share * all_beta, mean, variance, epsilon)
            return held - by_statistics, by_gamma, by_beta

        return (outputs, mean, variance), gradient

    flat = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
    outputs, mean, variance = normalized(flat, gamma, beta)
    return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape), mean, variance


def stock(name, gamma="ones"):
    """Return the stock batch norm used in every network here; `gamma` names the scale's initializer."""
    return keras.layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, gamma_initializer=gamma, name=name
    )


def fuse(layer, synchronized=False):
    """Return the fused twin of a stock batch norm, or any layer that has none as it is."""
    if type(layer) is not keras.layers.BatchNormalization:
        return layer
    config = layer.get_config()
    if config["axis"] not in (-1, 3) or config.get("renorm"):
        return layer
    return FusedBatchNormalization.from_config({**config, "synchronized": synchronized})


def fused_copy(model, synchronized=False, compute=precision.FLOAT32):
    """Return the training twin of a Functional model: fused batch norms in place of stock ones, same weights.

    Convolutions that must not be trained as they are (`strided_conv`) are replaced as well.

    All other layers that already have the wanted precision are the model's own, shared and not copied: a copy
    made from a layer's config and weights can lack state that is in neither, such as the statistics of an
    adapted `Normalization` layer.

    Args:
        model: a model of stock layers.
        synchronized: whether batch statistics are shared over the replicas of a strategy.
        compute: a name in `precision.PRECISIONS`, the precision of its layers; see there for the exceptions.
    """

    def twin(layer):
        policy = _policy(layer, model, compute)
        if strided_conv.is_unsafe(layer):
            return strided_conv.TakingConv2D.from_config(precision.config_in(layer, policy))
        return fuse(precision.in_policy(layer, policy), synchronized)

    return precision.with_layers(model, twin)


def fused_clone(layer, model, synchronized=False, compute=precision.FLOAT32):
    """Return a freshly initialised copy of a layer of a model, as in `fused_copy`: for `clone_model`."""
    config = precision.config_in(layer, _policy(layer, model, compute))
    # One layer is made and not two: each draws a seed of its weights, and so moves those of all after it.
    kind = strided_conv.TakingConv2D if strided_conv.is_unsafe(layer) else layer.__class__
    return fuse(kind.from_config(config), synchronized)


def stock_copy(model):
    """Return the model to save: stock layers in place of training layers, in float32, with the same weights.

    Layers that are stock float32 layers already are shared.
    """

    def stock_twin(layer):
        if isinstance(layer, strided_conv.TakingConv2D):
            return strided_conv.stock(layer)
        if not isinstance(layer, FusedBatchNormalization):
            return layer
        return keras.layers.BatchNormalization.from_config({**layer.get_config(), "synchronized": False})

    return precision.in_float32(precision.with_layers(model, stock_twin))


def _policy(layer, model, compute):
    """Return the dtype policy that a layer of a model trains in."""
    return precision.policy(precision.of_layer(layer, model, compute))
