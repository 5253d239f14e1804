"""A network's logits over many images, and the figures that are read from them."""

import functools

import keras
import numpy as np
import tensorflow as tf


class Predictor:
    """Runs a network in inference mode over arrays of images; traced once, whatever the number of images."""

    def __init__(self, network, batch_size=256, image_shape=None):
        """Takes what to ask.

        Args:
            network: a built model pixels -> logits, or what is called as one is.
            batch_size: how many images it is asked about at once.
            image_shape: (height, width, channels); None is what the model says.
        """
        self._network = network
        self._batch_size = batch_size
        self._image_shape = image_shape

    @functools.cached_property
    def _forward(self):
        shape = self._image_shape or self._network.inputs[0].shape[1:]

        pixels = tf.TensorSpec([None, *shape], tf.float32)

        @tf.function(input_signature=[pixels], jit_compile=False, autograph=False)
        def forward(pixels):
            return tf.cast(self._network(pixels, training=False), tf.float32)

        # Concrete: TensorFlow warns of one function traced often, and takes those of all networks for one.
        return forward.get_concrete_function()

    def logits(self, images):
        """Images uint8 [examples, height, width, channels] -> logits float32 [examples, classes]."""
        return np.concatenate(
            [
                self._forward(tf.cast(images[start : start + self._batch_size], tf.float32)).numpy()
                for start in range(0, len(images), self._batch_size)
            ]
        )

    def evaluate(self, split):
        """Accuracy and mean cross-entropy on a split: {"accuracy", "loss"}."""
        return figures(self.logits(split.images), split.labels)


def as_logits(network, probe):
    """The network itself if it gives logits; if it gives probabilities, one that gives their logarithms.

    Args:
        network: a built model, pixels -> [batch, classes].
        probe: uint8 [examples, height, width, channels]; what it gives of them decides.
    """
    if not are_probabilities(Predictor(network).logits(probe[:64])):
        return network
    logarithm = keras.layers.Lambda(lambda p: keras.ops.log(keras.ops.maximum(p, 1e-12)), name="logarithm")
    return keras.Model(network.inputs[0], logarithm(network.outputs[0]))


def are_probabilities(outputs):
    """Whether outputs [examples, classes] are non-negative and sum to one, which logits do not."""
    return bool(outputs.min() >= 0 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2))


def figures(logits, labels):
    """{"accuracy", "loss"} of logits [examples, classes], given labels [examples]."""
    return {"accuracy": accuracy(logits, labels), "loss": cross_entropy(logits, labels)}


def accuracy(logits, labels):
    """The share of rows whose largest logit (the first of tied ones) is the label's."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def cross_entropy(logits, labels):
    """The mean of -log softmax(logits)_label, in nats; logits [examples, classes], labels [examples]."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-np.mean(log_p[np.arange(len(labels)), labels]))
