"""What a candidate operation is: a chain of stock Keras layers, said once.

A student applies the chain as it is, so its file loads without okd_tf. A supernet holds it in the layer
below, with fused batch norm in place of the stock one.

An operation that begins at zero ends in one more batch norm, whose scale is initialised with zeros (as the
last one of a residual branch in Goyal et al., 2017): its output is zero whatever goes in, so that an add-on
layer leaves the network that it is put into as it is, and the scale has a gradient. The scale of the batch
norm within an operation could not stand for it: a ReLU follows, which passes no gradient at zero.
"""

import abc

import keras

from okd_tf.ops import batch_norm, precision


class Operation(keras.layers.Layer, abc.ABC):
    """A candidate operation: [batch, height, width, channels] -> the same shape."""

    def __init__(self, synchronized=False, begins_at_zero=False, **kwargs):
        """Makes the layer.

        Args:
            synchronized: whether batch statistics are shared over the replicas of a strategy.
            begins_at_zero: whether its initial output is zero; see the module.
        """
        super().__init__(**kwargs)
        self.synchronized = synchronized
        self.begins_at_zero = begins_at_zero
        self.chain = []

    @staticmethod
    @abc.abstractmethod
    def stock_layers(channels, prefix):
        """New stock layers to be applied in turn to an input with this many channels.

        Their names begin with `prefix`, which is unique in the network.
        """

    @classmethod
    def all_layers(cls, channels, prefix, begins_at_zero=False):
        """`stock_layers`, and if the operation is to begin at zero the batch norm that makes it so."""
        layers = cls.stock_layers(channels, prefix)
        return [*layers, batch_norm.stock(f"{prefix}_zero", gamma="zeros")] if begins_at_zero else layers

    def build(self, input_shape):
        """Builds the chain for [batch, height, width, channels]."""
        chain = self.all_layers(input_shape[-1], self.name, self.begins_at_zero)
        chain = [precision.in_policy(layer, self.dtype_policy) for layer in chain]
        chain = [batch_norm.fuse(layer, self.synchronized) for layer in chain]
        for layer in chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.chain = chain

    def call(self, inputs, training=None):
        """Applies the chain."""
        outputs = inputs
        for layer in self.chain:
            if isinstance(layer, keras.layers.BatchNormalization):
                outputs = layer(outputs, training=training)
            else:
                outputs = layer(outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        own = {"synchronized": self.synchronized, "begins_at_zero": self.begins_at_zero}
        return {**super().get_config(), **own}
