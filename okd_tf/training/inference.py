"""Inference: the logits of a network over many images, with accuracy and cross-entropy."""

import functools

import keras
import numpy as np
import tensorflow as tf


class Predictor:
    """A network run in inference mode over arrays of images; traced once, for any number of images."""

    def __init__(self, network, batch_size=256, image_shape=None):
        """Create the predictor.

        Args:
            network: a built model pixels -> logits, or a callable with the same arguments.
            batch_size: images per forward pass.
            image_shape: (height, width, channels); None: the model's input shape.
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
        """Return logits float32 [examples, classes] of images uint8 [examples, height, width, channels]."""
        return np.concatenate(
            [
                self._forward(tf.cast(images[start : start + self._batch_size], tf.float32)).numpy()
                for start in range(0, len(images), self._batch_size)
            ]
        )

    def evaluate(self, split):
        """Return {"accuracy", "loss"} on a split; the loss is the mean cross-entropy in nats."""
        return figures(self.logits(split.images), split.labels)


def as_logits(network, probe):
    """Return the network if it outputs logits; else, of probabilities, a model that outputs their logarithms.

    Args:
        network: a built model, pixels -> [batch, classes].
        probe: images uint8 [examples, height, width, channels]; the outputs on the first 64 decide.
    """
    if not are_probabilities(Predictor(network).logits(probe[:64])):
        return network
    logarithm = keras.layers.Lambda(lambda p: keras.ops.log(keras.ops.maximum(p, 1e-12)), name="logarithm")
    return keras.Model(network.inputs[0], logarithm(network.outputs[0]))


def are_probabilities(outputs):
    """Return whether outputs [examples, classes] are probabilities: not negative, with rows that sum to 1."""
    return bool(outputs.min() >= 0 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2))


def figures(logits, labels):
    """Return {"accuracy", "loss"} of logits [examples, classes], given labels [examples]."""
    return {"accuracy": accuracy(logits, labels), "loss": cross_entropy(logits, labels)}


def accuracy(logits, labels):
    """Return the share of rows whose largest logit (the first of tied ones) is the label's."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def cross_entropy(logits, labels):
    """Return the mean of -log softmax(logits)_label, in nats.

    logits [examples, classes], labels [examples].
    """
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-np.mean(log_p[np.arange(len(labels)), labels]))
