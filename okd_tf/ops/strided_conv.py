"""Strided 1x1 convolutions of few channels, as ResNets' shortcuts have them, trained without a crash.

oneDNN's gradient of their kernel writes past its own memory where fewer channels come in than a vector of the
processor holds (https://github.com/uxlfoundation/oneDNN/issues/6035): a crash, a hang or wrong numbers,
depending on the processor and the size of the images. Here the pixels that the stride leaves are taken first,
and convolved with a stride of 1, which is the same function and another kernel. Convolutions of kernels
beside 1x1, of groups, or in sixteen bits did not fail. Not replaced, though they fail alike: `Conv1D`, a
`Conv2D` within `TimeDistributed`, and `Conv2DTranspose` where few channels come out, which networks that
classify images hardly have.
"""

import keras

LANES = 16  # float32 numbers in the longest vectors, of AVX-512


@keras.saving.register_keras_serializable("okd_tf")
class TakingConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` of a 1x1 kernel: takes the pixels of its stride, then convolves them."""

    def convolution_op(self, inputs, kernel):
        """[batch, height, width, channels] -> [batch, rows, columns, filters], as the stock layer."""
        rows, columns = self.strides
        return keras.ops.conv(
            inputs[:, ::rows, ::columns], kernel, padding=self.padding, data_format=self.data_format
        )


def is_unsafe(layer):
    """Whether a layer, which is built, is a convolution whose gradient oneDNN may fail at."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == (1, 1)
        and layer.strides != (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.kernel.shape[2] < LANES
    )


def stock(layer):
    """The stock convolution of such a twin, freshly initialised."""
    return keras.layers.Conv2D.from_config(layer.get_config())
