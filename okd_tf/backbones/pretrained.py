"""A user's model as a backbone that begins from the weights it came with."""

import dataclasses

import keras
import numpy as np

from okd_tf import errors
from okd_tf.backbones import graph, keras_file, prepare


@dataclasses.dataclass(frozen=True)
class Kept:
    """A prepared model with the weights that it came with.

    Attributes:
        model: pixels 0..255 -> logits.
        new: names of the layers that are freshly initialised all the same.
        scales: whether it scales its pixels, by itself or as was declared.
    """

    model: keras.Model
    new: tuple[str, ...]
    scales: bool


def read(path, image_shape, classes, scaling=None, new_head=False, output="") -> Kept:
    """Reads a .keras file and prepares its model as `prepare` does, with the weights in the file.

    The dataset's normalisation is not put in front, since the weights know nothing of it, but what is
    declared is. The last dense layer is replaced by a freshly initialised one if the file is of another
    number of classes.

    Args:
        path: the file.
        image_shape: (height, width, channels) of the dataset's images.
        classes: of the dataset.
        scaling: (factor, offset), numbers or one for each channel, that pixel values 0..255 are multiplied by
            and what is added to them, before the file's first layer; None is none.
        new_head: whether the last dense layer is replaced whatever its number of classes.
        output: which of several outputs says the class; "" is the only one.

    Raises:
        UserError: as `prepare.read`; and if there are no weights that can be kept.
    """
    network = prepare.functional(path, output)
    _, gives = keras_file.shapes(path, network)
    keras_file.check_fits(path, network, image_shape, gives[0] if len(gives) == 1 else classes)
    return keep(path, prepare.opened(network), image_shape, classes, scaling, new_head)


def keep(whose, network, image_shape, classes, scaling=None, new_head=False) -> Kept:
    """The same of a network that is there already, `prepare.opened`; `whose` names it in errors."""
    front, new = None, ()
    if scaling is not None:
        front = prepare.rescaling(scaling)
    if new_head or network.output_shape[1:] != (classes,):
        new = (_head(whose, network).name,)
    model = prepare.prepared(whose, network, image_shape, front, dict.fromkeys(new, classes))
    for layer in network.layers:
        if layer.name not in new and layer.weights and graph.renewable(layer):
            model.get_layer(layer.name).set_weights(layer.get_weights())
    weights = [value for layer in model.layers if layer.name not in new for value in layer.get_weights()]
    if not weights:
        raise errors.UserError(
            f"{whose}: has no weights to keep but those of its head, which is for {network.output_shape[-1]} "
            f"classes and not for {classes}; leave --keep_weights out"
        )
    if not all(np.isfinite(value).all() for value in weights):
        raise errors.UserError(
            f"{whose}: has weights that are NaN or infinite, which no training mends; leave --keep_weights "
            "out, or use another file"
        )
    return Kept(model, new, prepare.scales(network) or front is not None)


def _head(whose, network):
    """The dense layer that gives the logits, or what a softmax makes probabilities of."""
    last, *before = [call.layer for call in reversed(graph.calls(network))]
    if type(last).__name__ in ("Softmax", "Activation") and prepare.is_softmax(last) and before:
        last = before[0]
    if not isinstance(last, keras.layers.Dense):
        raise errors.UserError(
            f"{whose}: ends in layer '{last.name}', a {type(last).__name__}, where only a Dense one can be "
            "replaced by one for the dataset's classes; save a model that ends in a Dense layer, or leave "
            "--keep_weights out"
        )
    return last
