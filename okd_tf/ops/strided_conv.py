"""Strided pointwise convolutions of few channels, such as ResNets' shortcuts, trained without a crash.

oneDNN's gradient of their kernel writes past its own memory if there are fewer input channels than a vector
of the processor holds (https://github.com/uxlfoundation/oneDNN/issues/6035): a crash, a hang or wrong
numbers, depending on the processor and the size of the images. Here the pixels on the stride's grid are taken
first and then convolved with a stride of 1: the same function by another kernel. Convolutions with kernels
other than 1x1, with groups, or in sixteen bits did not fail. `Conv1D`, a `Conv2D` within `TimeDistributed`,
and `Conv2DTranspose` with few output channels fail alike and are not replaced: image classifiers hardly ever
have them.
"""

import keras

LANES = 16  # float32 numbers in the longest vectors, of AVX-512


@keras.saving.register_keras_serializable("okd_tf")
class TakingConv2D(keras.layers.Conv2D):
    """A strided pointwise `keras.layers.Conv2D` that subsamples pixels by its stride, then convolves them."""

    def convolution_op(self, inputs, kernel):
        """Return the stock layer's output, [batch, rows, columns, filters], computed with a stride of 1."""
        rows, columns = self.strides
        return keras.ops.conv(
            inputs[:, ::rows, ::columns], kernel, padding=self.padding, data_format=self.data_format
        )


def is_unsafe(layer):
    """Return whether a built layer is a convolution whose gradient may fail in oneDNN."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == (1, 1)
        and layer.strides != (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.kernel.shape[2] < LANES
    )


def stock(layer):
    """Return the stock convolution that corresponds to such a layer, freshly initialised."""
    return keras.layers.Conv2D.from_config(layer.get_config())
