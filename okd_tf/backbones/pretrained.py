"""A user's model as a backbone with its pretrained weights."""

import dataclasses

import keras
import numpy as np

from okd_tf import errors
from okd_tf.backbones import graph, keras_file, prepare


@dataclasses.dataclass(frozen=True)
class Kept:
    """A prepared model with its pretrained weights.

    Attributes:
        model: pixels 0..255 -> logits.
        new: names of the layers that are freshly initialised all the same.
        scales: whether it scales its pixels, by itself or as declared.
    """

    model: keras.Model
    new: tuple[str, ...]
    scales: bool


def read(path, image_shape, classes, scaling=None, new_head=False, output="") -> Kept:
    """Return the model of a .keras file, prepared as by `prepare`, with the weights in the file.

    A declared scaling is put in front, but not the dataset's normalisation, for which the weights were not
    trained. The last dense layer is replaced by a freshly initialised one if it has another number of
    classes.

    Args:
        path: the file.
        image_shape: (height, width, channels) of the dataset's images.
        classes: number of classes of the dataset.
        scaling: declared (factor, offset), numbers or one for each channel: pixel values 0..255 are
            multiplied by the factor, then the offset is added, before the file's first layer; None: none.
        new_head: whether to replace the last dense layer whatever its number of classes.
        output: name of the output with the logits, if there are several; "" if there is only one.

    Raises:
        UserError: raised by `prepare.read`; or there are no finite weights to keep.
    """
    network = prepare.functional(path, output)
    _, gives = keras_file.shapes(path, network)
    keras_file.check_fits(path, network, image_shape, gives[0] if len(gives) == 1 else classes)
    return keep(path, prepare.opened(network), image_shape, classes, scaling, new_head)


def keep(whose, network, image_shape, classes, scaling=None, new_head=False) -> Kept:
    """Return the `Kept` of a network from `prepare.opened`, as `read` does; `whose` names it in errors."""
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
    """Return the dense layer that computes the logits, if need be the input of a final softmax.

    Raises:
        UserError: the network does not end in such a layer.
    """
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
