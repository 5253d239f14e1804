"""What networks cost, counted on the layers themselves.

The cost of a candidate operation is that of its stock layers at its place, built once; so the cost of a
student is a sum over a table, and equals what the built student counts.
"""

import keras
import numpy as np

from okd_tf.arch import spec
from okd_tf.ops import base


def of_model(model: keras.Model) -> spec.Cost:
    """Parameters as `count_params()` has them, and FLOPs of one image, of a Functional model."""
    return spec.Cost(params=model.count_params(), flops=sum(layer_flops(layer) for layer in model.layers))


def of_operation(operation: type[base.Operation], shape: tuple[int, int, int]) -> spec.Cost:
    """The cost of a candidate operation on features of this (height, width, channels)."""
    inputs = outputs = keras.Input(shape)
    for layer in operation.stock_layers(shape[-1], "cost"):
        outputs = layer(outputs)
    return of_model(keras.Model(inputs, outputs))


def layer_flops(layer: keras.layers.Layer) -> int:
    """FLOPs of a layer on one image: 2 per multiply-add of a convolution or dense layer.

    What batch norm, activations, additions and pooling do is left out: batch norm folds into the
    convolution before it on a device, and the rest is small beside it.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return 2 * int(np.prod(layer.output.shape[1:])) * int(np.prod(layer.kernel_size))
    if isinstance(layer, keras.layers.Conv2D):
        fan_in = int(np.prod(layer.kernel_size)) * layer.input.shape[-1] // layer.groups
        return 2 * int(np.prod(layer.output.shape[1:])) * fan_in
    if isinstance(layer, keras.layers.Dense):
        return 2 * int(np.prod(layer.output.shape[1:])) * layer.input.shape[-1]
    return 0
