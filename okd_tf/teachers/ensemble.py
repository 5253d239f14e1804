"""A list of teachers as one thing to ask: images in, every teacher's logits out."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.backbones import keras_file
from okd_tf.ops import batch_norm
from okd_tf.training import inference


def paths(given):
    """The .keras files that --teachers names, folders opened in order of name.

    Raises:
        UserError: a path that is not there, or a folder without a .keras file.
    """
    found = []
    for path in map(pathlib.Path, given):
        if path.is_dir() and (path / "saved_model.pb").exists():
            raise errors.UserError(f"--teachers: {path}: a SavedModel; save the model as a .keras file")
        # Names that begin with a dot are what a killed process was still writing.
        inside = sorted(path.glob("[!.]*.keras")) if path.is_dir() else [path]
        if not inside or not inside[0].exists():
            what = "no .keras file in it" if path.is_dir() else "no such file"
            raise errors.UserError(f"--teachers: {path}: {what}; name .keras files or folders of them")
        if any(file.suffix != ".keras" for file in inside):
            raise errors.UserError(f"--teachers: {path}: not a .keras file; save the model as one")
        found.extend(inside)
    return found


def read_network(path, image_shape, classes):
    """Reads a .keras classifier and checks that it fits the dataset.

    Args:
        path: a .keras file.
        image_shape: (height, width, channels) that its input must take, as pixel values 0..255.
        classes: how many outputs it must have.

    Raises:
        UserError: missing, cut short, of custom code, or of other shapes; names the file.
    """
    network = keras_file.load(path)
    keras_file.check_fits(path, network, image_shape, classes)
    return network


def as_logits(network, probe):
    """The network itself if it gives logits; if it gives probabilities, one that gives their logarithms.

    Args:
        network: a built model, pixels -> [batch, classes].
        probe: uint8 [examples, height, width, channels]; outputs on it that are non-negative and sum to one
            are taken for probabilities.
    """
    outputs = inference.Predictor(network).logits(probe[:64])
    if outputs.min() < 0 or not np.allclose(outputs.sum(axis=-1), 1, atol=1e-2):
        return network
    logarithm = keras.layers.Lambda(lambda p: keras.ops.log(keras.ops.maximum(p, 1e-12)), name="logarithm")
    return keras.Model(network.inputs[0], logarithm(network.outputs[0]))


class Ensemble:
    """N teachers: networks that take pixels 0..255 and give logits (or probabilities, which are noticed)."""

    def __init__(self, networks, probe):
        """Takes built models, and images as `as_logits` wants them."""
        self._networks = []
        for network in networks:
            network = as_logits(network, probe)
            if _is_functional(network):
                network = batch_norm.fused_copy(network)
            network.trainable = False
            self._networks.append(network)
        self._predictors = [inference.Predictor(network) for network in self._networks]

    def __len__(self):
        return len(self._networks)

    def params(self):
        """Parameter counts, one a teacher."""
        return [network.count_params() for network in self._networks]

    def logits(self, images):
        """Images uint8 [examples, height, width, channels] -> logits [teachers, examples, classes]."""
        return np.stack([self.one(index, images) for index in range(len(self))])

    def one(self, index, images):
        """One teacher's logits [examples, classes] for images uint8 [examples, height, width, channels]."""
        return self._predictors[index].logits(images)

    def live(self, pixels):
        """Pixels float32 [batch, height, width, channels] -> logits [batch, teachers, classes], traceable."""
        outputs = [network(pixels, training=False) for network in self._networks]
        return tf.stack([tf.cast(logits, tf.float32) for logits in outputs], axis=1)


def _is_functional(network):
    return isinstance(network, keras.Model) and type(network).__name__ == "Functional"
