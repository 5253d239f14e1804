"""Costs of networks, counted on their layers.

The cost of a candidate operation is that of its stock layers at its place, built once; so the cost of a
student is a sum over a table, and equals the count on the built student.
"""

import math

import keras

from okd_tf.arch import spec
from okd_tf.backbones import graph
from okd_tf.ops import base

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Their weights, of whatever shape, meet each value once.
_ELEMENTWISE = (keras.layers.PReLU, keras.layers.LayerNormalization, keras.layers.Normalization)


def of_model(model: keras.Model) -> spec.Cost:
    """Return the cost of a Functional model: parameters of `count_params()`, and FLOPs for one image.

    A layer that is called twice counts once in the parameters and twice in the FLOPs. Layers named by
    `uncounted` are left out of the FLOPs.
    """
    return spec.Cost(params=model.count_params(), flops=_flops(graph.calls(model)))


def of_operation(
    operation: type[base.Operation], shape: tuple[int, int, int], begins_at_zero: bool = False
) -> spec.Cost:
    """Return the cost of a candidate operation on features of shape (height, width, channels)."""
    inputs = outputs = keras.Input(shape)
    for layer in operation.all_layers(shape[-1], "cost", begins_at_zero):
        outputs = layer(outputs)
    return of_model(keras.Model(inputs, outputs))


def uncounted(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the layers with weight matrices whose FLOPs `of_model` cannot count."""
    names: list[str] = []
    for call in graph.calls(model):
        if graph.is_functional(call.layer):
            names.extend(uncounted(call.layer))
        elif call_flops(call) is None and _has_matrix(call.layer):
            names.append(call.layer.name)
    return tuple(dict.fromkeys(names))


def call_flops(call: graph.Call) -> int | None:
    """Return the FLOPs of one call of a layer on one image, 2 per multiply-add; None for unknown layers.

    Batch norm, activations, additions and pooling are left out: batch norm folds into the convolution before
    it on a device, and the others are small in comparison.
    """
    layer = call.layer
    if graph.is_functional(layer):
        return _flops(graph.calls(layer, call.inputs[0]))
    if not isinstance(layer, (*_CONVOLUTIONS, *_DEPTHWISE, *_SEPARABLE, *_TRANSPOSED, keras.layers.Dense)):
        return None
    channels, outputs = call.inputs[0][-1], math.prod(call.outputs[0][1:])
    if isinstance(layer, keras.layers.Dense):
        return 2 * outputs * channels
    kernel = math.prod(layer.kernel_size)
    if isinstance(layer, _SEPARABLE):
        places = math.prod(call.outputs[0][1:-1])
        between = channels * layer.depth_multiplier
        return 2 * places * between * (kernel + call.outputs[0][-1])
    if isinstance(layer, _DEPTHWISE):
        return 2 * outputs * kernel
    if isinstance(layer, _TRANSPOSED):
        return 2 * math.prod(call.inputs[0][1:]) * kernel * call.outputs[0][-1]
    return 2 * outputs * kernel * channels // layer.groups


def _flops(calls: list[graph.Call]) -> int:
    return sum(call_flops(call) or 0 for call in calls)


def _has_matrix(layer: keras.Operation) -> bool:
    weights = () if isinstance(layer, _ELEMENTWISE) else getattr(layer, "weights", ())
    return any(len(weight.shape) >= 2 for weight in weights)
