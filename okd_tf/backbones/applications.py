"""Networks of `keras.applications` as backbones and teachers, named like `applications:MobileNetV2`.

Each is the application without its top. Its own preprocessing precedes it as stock layers (the input is
pixels 0..255); a mean over all places and a dense layer for the dataset's classes follow it. Preprocessing
that reverses the order of the channels ("caffe") is done by the first convolution: the input channels of its
kernel are reversed when weights are loaded.
"""

import dataclasses
import re

import keras

from okd_tf import errors
from okd_tf.backbones import application_weights, base, graph, prepare, pretrained

PREFIX = "applications:"  # what such a name begins with
HEAD = "logits"  # name of the dense layer
LEAST = {
    "Xception": 71,
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
}  # side of the smallest image; 32 of others

_CAFFE_MEAN = (123.68, 116.779, 103.939)  # of red, green, blue
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE, _TF, _TORCH, _INSIDE = "caffe", "tf", "torch", "inside"


@dataclasses.dataclass(frozen=True)
class Family:
    """The common properties of applications whose names begin alike.

    Attributes:
        preprocessing: the mode of `keras.applications.imagenet_utils.preprocess_input`; _INSIDE: the network
            preprocesses by itself.
        attach_after: regular expression for the outputs of its blocks.
    """

    preprocessing: str
    attach_after: str


# By how names begin; the longest one that fits counts.
FAMILIES = {
    "ConvNeXt": Family(_INSIDE, r"add(_\d+)?"),
    "DenseNet": Family(_TORCH, r"pool\d_pool|relu"),
    "EfficientNet": Family(_INSIDE, r"block\d[a-z]_add"),
    "InceptionResNetV2": Family(_TF, r"mixed_.*|block\d+_\d+_ac"),
    "InceptionV3": Family(_TF, r"mixed\d+"),
    "MobileNet": Family(_TF, r"conv_pw_\d+_relu"),
    "MobileNetV2": Family(_TF, r".*_add"),
    "MobileNetV3": Family(_INSIDE, r".*_add"),
    "NASNet": Family(_TF, r"normal_concat_.*"),
    "ResNet": Family(_CAFFE, r"conv\d_block\d+_out"),
    "ResNet50V2": Family(_TF, r"conv\d_block\d+_out"),
    "ResNet101V2": Family(_TF, r"conv\d_block\d+_out"),
    "ResNet152V2": Family(_TF, r"conv\d_block\d+_out"),
    "VGG": Family(_CAFFE, r"block\d_pool"),
    "Xception": Family(_TF, r"add(_\d+)?"),
}


def is_application(name) -> bool:
    """Return whether a network's name is that of an application."""
    return name.startswith(PREFIX)


def has_weights(name, weights) -> bool:
    """Return whether a network of this name is an application that starts from pretrained weights."""
    return is_application(name) and weights != application_weights.NONE


def is_kept(layer) -> bool:
    """Return whether a layer of this name, in an application with pretrained weights, starts from those."""
    return layer != HEAD


def family(name) -> Family:
    """Return the family of an application, by its name with the prefix."""
    own = name.removeprefix(PREFIX)
    return FAMILIES[max((start for start in FAMILIES if own.startswith(start)), key=len)]


def check_shape(what, name, image_shape):
    """Raise UserError if an application cannot take images of this shape.

    Args:
        what: the flag that names it.
        name: name with the prefix.
        image_shape: (height, width, channels).
    """
    (height, width, channels), least = image_shape, LEAST.get(name.removeprefix(PREFIX), 32)
    if channels != 3:
        raise errors.UserError(
            f"{what}: {name} takes images of 3 channels, these have {channels}; add --channels=3"
        )
    if min(height, width) < least:
        enough = f"{max(height, least)}x{max(width, least)}" if max(height, width) > least else least
        raise errors.UserError(
            f"{what}: {name} takes images of {least}x{least} pixels and more, these have {height}x{width}; "
            f"enlarge them by --image_size={enough}, or use another network"
        )


def build(name, image_shape, classes, weights=application_weights.NONE) -> tuple[keras.Model, tuple | None]:
    """Build an application.

    Args:
        name: name with the prefix.
        image_shape: (height, width, channels).
        classes: number of logits.
        weights: "none", "imagenet" (which must be in Keras's cache), or the path of a file.

    Returns:
        The model, pixels 0..255 -> logits, and the names of its layers that are freshly initialised; None
        without weights, where all are.

    Raises:
        UserError: images it cannot take, or weights that are missing or of another network.
    """
    own = name.removeprefix(PREFIX)
    make = getattr(keras.applications, own)
    body = make(include_top=False, weights=None, input_shape=tuple(image_shape))
    path = application_weights.path(own, image_shape, weights)
    if path:
        application_weights.load(body, path, own)
        if family(name).preprocessing == _CAFFE:
            _reverse_input_channels(body)
    pixels = keras.Input(image_shape, name="pixels")
    features = body(_preprocessed(pixels, family(name).preprocessing))
    features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    network = keras.Model(pixels, keras.layers.Dense(classes, name=HEAD)(features), name=own.lower())
    network = _with_names_of_its_own(prepare.opened(network))
    if not path:
        return prepare.prepared(name, network, image_shape, None), None
    kept = pretrained.keep(name, network, image_shape, classes, new_head=True)
    return kept.model, kept.new


def _preprocessed(pixels, how):
    """Return pixels 0..255 after the application's own preprocessing, except for the order of channels."""
    if how == _INSIDE:
        return pixels
    if how == _TORCH:
        mean, std = ([255.0 * value for value in values] for values in (_TORCH_MEAN, _TORCH_STD))
        return base.normalize(pixels, mean, std, "preprocess")
    if how == _CAFFE:
        return base.normalize(pixels, _CAFFE_MEAN, (1.0,) * 3, "preprocess")
    return keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(pixels)


def _reverse_input_channels(network):
    """Convert a network for blue, green, red into one for red, green, blue."""
    first = next(call.layer for call in graph.calls(network) if getattr(call.layer, "weights", None))
    kernel, *others = first.get_weights()
    first.set_weights([kernel[:, :, ::-1, :], *others])


def _with_names_of_its_own(network):
    """Return the same network, its automatically numbered layers renumbered from 0.

    Keras numbers them by all layers that the process has made before.
    """
    operations = list(dict.fromkeys(call.layer for call in graph.calls(network)))
    numbered = [one for one in operations if re.fullmatch(rf"{_class_name(one)}(_\d+)?", one.name)]
    used = {one.name for one in operations} - {one.name for one in numbered}
    for one in numbered:
        one.name = prepare.free(_class_name(one), used)
        used.add(one.name)
    return network


def _class_name(operation):
    """Return the prefix of Keras's automatic name for a layer or operation."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(operation).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
