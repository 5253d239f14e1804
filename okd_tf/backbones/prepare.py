"""A user's model as a backbone: one flat Functional model, pixels 0..255 -> logits, entirely trainable.

Only the layers of the user's model are taken, not its weights: each layer is freshly initialised, and none
stays frozen, by `trainable` or by a call with `training=False`. State that no training changes, such as the
statistics of an adapted `Normalization`, is kept. `pretrained` keeps the weights as well.
"""

import keras
import numpy as np

from okd_tf import errors, memory
from okd_tf.backbones import base, graph, keras_file
from okd_tf.ops import batch_norm

_SCALING = {"Rescaling", "Normalization", "Multiply", "Divide", "TrueDivide", "Subtract"}


def read(path, image_shape, classes, mean, std, scaling=None, output="") -> keras.Model:
    """Return the prepared model of a .keras file.

    Models within the model are flattened, so that their layers are layers of the whole. A softmax at the end
    is left out. A declared scaling is put in front. If none is declared, the dataset's normalisation is put
    there, unless a layer before the first trainable one scales the pixels (`Rescaling`, `Normalization`, or
    arithmetic such as `x / 255.0`).

    Args:
        path: the file.
        image_shape: (height, width, channels) of the dataset's images.
        classes: number of classes of the dataset.
        mean: per-channel mean of the pixels, scale 0..255.
        std: per-channel standard deviation of the pixels, scale 0..255.
        scaling: declared (factor, offset), numbers or one for each channel: pixel values 0..255 are
            multiplied by the factor, then the offset is added; None: not declared.
        output: name of the output with the logits, if there are several; "" if there is only one.

    Raises:
        UserError: unreadable, subclassed, for other images or classes, or without logits; names the file.
    """
    network = functional(path, output)
    keras_file.check_fits(path, network, image_shape, classes)
    network = opened(network)
    if scaling is not None:
        return prepared(path, network, image_shape, rescaling(scaling))

    def normalize(pixels, name):
        return base.normalize(pixels, mean, std, name)

    return prepared(path, network, image_shape, None if scales(network) else normalize)


def rescaling(scaling):
    """Return a `front` for `prepared` that multiplies pixels by a factor, then adds an offset.

    scaling: (factor, offset), numbers or one for each channel.
    """

    def front(pixels, name):
        factor, offset = (np.asarray(value, float).tolist() for value in scaling)
        return keras.layers.Rescaling(factor, offset, name=name)(pixels)

    return front


def functional(path, output="") -> keras.Model:
    """Return the Functional or Sequential model of a .keras file, with only the named output if several.

    Raises:
        UserError: unreadable, or subclassed; names the file.
    """
    network = keras_file.load(path)
    if not graph.is_functional(network):
        raise errors.UserError(
            f"{path}: is a {type(network).__name__}, a subclassed model, which does not show how its layers "
            "are connected; save it as a Functional or Sequential model"
        )
    return keras_file.classifier(path, network, output, 'as "output" in a JSON file of its name beside it')


def opened(network) -> keras.Model:
    """Return the network as one flat Functional model of one input and one output, with nothing frozen."""
    network = flat(network)
    for layer in network.layers:
        layer.trainable = True
    return network


def prepared(path, network, image_shape, front, units=None):
    """Return the network rebuilt and checked: fresh layers, pixels of this shape in, no softmax at the end.

    Args:
        path: its file, or another name of it for errors.
        network: a network from `opened`.
        image_shape: (height, width, channels) of the pixels.
        front: (pixels, free name) -> the network's input; None: the pixels.
        units: new number of units by name of dense layer; others keep theirs.

    Raises:
        UserError: it takes other images, or its outputs are no logits.
    """
    try:
        model = _rebuilt(network, image_shape, front, units or {})
    except Exception as error:  # each layer has its own way to say that an input is too small for it
        if memory.line(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise errors.UserError(
            f"{path}: cannot be rebuilt for images of shape {tuple(image_shape)} ({reason}); "
            "use a network made for this dataset"
        ) from None
    _check_gives_logits(path, model)
    return model


def flat(network):
    """Return the same network with the layers of nested models as its own; names that clash get a number.

    Args:
        network: a built Functional or Sequential model of one input and one output.
    """
    model = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    while any(map(graph.is_functional, model.layers)):
        used = {operation.name for operation in model.operations}
        for nested in filter(graph.is_functional, model.layers):
            for layer in getattr(nested, "operations", nested.layers):
                layer.name = free(layer.name, used)
                used.add(layer.name)
        model = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=_open)
    return model


def _open(layer, *args, **kwargs):
    # `call` and not the model itself: that makes nodes of its layers, not one node of the whole.
    return layer.call(*args) if graph.is_functional(layer) else layer(*args, **kwargs)


def _rebuilt(network, image_shape, front, units):
    pixels = keras.Input(image_shape, name=network.inputs[0].name)
    features = pixels
    if front:
        used = {operation.name for operation in network.operations}
        features = front(pixels, free("normalize", used))
    last = network.output_names[0]

    def clone(layer):
        changed = {"units": units[layer.name]} if layer.name in units else {}
        if graph.renewable(layer) and layer.name == last and _activation(layer) == "softmax":
            changed["activation"] = "linear"
        if changed:
            return layer.__class__.from_config({**layer.get_config(), **changed})
        if type(layer) is keras.layers.BatchNormalization:
            # A model of long trainings may have a momentum whose averages shorter ones never catch up with.
            momentum = min(layer.momentum, batch_norm.MOMENTUM)
            return keras.layers.BatchNormalization.from_config({**layer.get_config(), "momentum": momentum})
        return graph.fresh(layer)

    def call(layer, *args, **kwargs):
        kwargs.pop("training", None)
        args, kwargs = keras.tree.map_structure(
            lambda value: features if value is pixels else value, (args, kwargs)
        )
        if layer.name == last and type(layer).__name__ in ("Softmax", "Activation") and is_softmax(layer):
            return args[0]
        outputs = layer(*args, **kwargs)
        # Left where a model within the model was opened.
        if type(layer).__name__ == "ConvertToTensor" and outputs.dtype == args[0].dtype:
            return args[0]
        return outputs

    return keras.models.clone_model(network, input_tensors=pixels, clone_function=clone, call_function=call)


def scales(network) -> bool:
    """Return whether pixels are scaled before the first trainable layer."""
    for call in graph.calls(network):
        if getattr(call.layer, "trainable_weights", None):
            return False
        if type(call.layer).__name__ in _SCALING:
            return True
    return False


def _check_gives_logits(path, model):
    last = next(operation for operation in model.operations if operation.name == model.output_names[0])
    ends = _activation(last) or type(last).__name__.lower()
    pixels = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:])).astype(np.float32)
    outputs = keras.ops.convert_to_numpy(model(pixels, training=False))
    probabilities = outputs.min() >= 0 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2)
    if probabilities or ends in ("sigmoid", "relu", "tanh", "softplus"):
        raise errors.UserError(
            f"{path}: ends in layer '{last.name}', which gives {'probabilities' if probabilities else ends} "
            "where logits are needed; save the model without what comes after its last Dense layer"
        )


def _activation(layer):
    """Return the name of a layer's activation, "" if it is linear or there is none."""
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return "" if name == "linear" else name


def is_softmax(layer) -> bool:
    """Return whether a layer without weights is a softmax."""
    return type(layer).__name__ == "Softmax" or _activation(layer) == "softmax"


def free(name, used) -> str:
    """Return the name itself if it is not used, else with the first number that is free."""
    number, free = 0, name
    while free in used:
        number += 1
        free = f"{name}_{number}"
    return free
