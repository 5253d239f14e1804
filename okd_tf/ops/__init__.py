"""The candidate operations of an add-on layer.

Each keeps the shape of its input. A new one is a class with `stock_layers` in one file and one line below;
supernets, students, costs and the conformance tests pick it up from here.
"""

from okd_tf.ops import base, conv, identity, pooling, separable_conv

OPS: dict[str, type[base.Operation]] = {
    "identity": identity.Identity,
    "conv_3x3": conv.Conv3x3,
    "conv_5x5": conv.Conv5x5,
    "sep_conv_3x3": separable_conv.SeparableConv3x3,
    "sep_conv_5x5": separable_conv.SeparableConv5x5,
    "max_pool_3x3": pooling.MaxPool3x3,
    "avg_pool_3x3": pooling.AveragePool3x3,
}
