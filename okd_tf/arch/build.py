"""Putting add-on layers into a backbone, and building the student that a spec describes."""

from collections.abc import Callable

import keras

from okd_tf import backbones, errors
from okd_tf.arch import cost, spec
from okd_tf.ops import OPS


def insert(
    backbone: backbones.Backbone,
    make: Callable,
    clone_function: Callable = lambda layer: layer.__class__.from_config(layer.get_config()),
) -> keras.Model:
    """Rebuilds a backbone, freshly initialised, with something after each attach point.

    Args:
        backbone: what to rebuild.
        make: (name of the attach point, h_l) -> what the backbone goes on with. Called in the order of the
            network.
        clone_function: makes each layer of the new network from one of the old.
    """

    def call(layer: keras.layers.Layer, *args: object, **kwargs: object) -> object:
        outputs = layer(*args, **kwargs)
        return make(layer.name, outputs) if layer.name in backbone.attach_points else outputs

    return keras.models.clone_model(backbone.model, clone_function=clone_function, call_function=call)


def bare_backbone(architecture: spec.ArchSpec) -> backbones.Backbone:
    """The backbone of a spec without its add-on layers, freshly initialised."""
    return backbones.build(
        architecture.backbone,
        architecture.width,
        architecture.input_shape,
        architecture.classes,
        architecture.mean,
        architecture.std,
    )


def student(architecture: spec.ArchSpec) -> keras.Model:
    """Builds the network of a spec from stock Keras layers, freshly initialised: pixels 0..255 -> logits.

    Raises:
        UserError: the spec names an operation, backbone or attach point that there is not, chains layers
            that cannot be, or says other parameter counts than the built network has.
    """
    backbone = bare_backbone(architecture)
    add_ons = {add_on.after: add_on for add_on in architecture.add_ons}
    for add_on in architecture.add_ons:
        if add_on.op not in OPS:
            raise errors.unknown("add-on layer", add_on.op, OPS)
        if add_on.after not in backbone.attach_points:
            raise errors.unknown(
                f"attach point of {architecture.backbone}", add_on.after, backbone.attach_points
            )
    previous = None

    def make(after: str, stream: keras.KerasTensor) -> keras.KerasTensor:
        nonlocal previous
        add_on, chained = add_ons.get(after), previous
        previous = None
        if add_on is None:
            return stream
        prefix = f"addon{backbone.attach_points.index(after) + 1}"
        outputs = stream
        if add_on.chain:
            if chained is None or chained.shape != stream.shape:
                raise errors.UserError(
                    f"add-on layer after {after}: chain asks for a previous add-on layer of shape "
                    f"{stream.shape[1:]}, and there is none; set chain to false"
                )
            outputs = keras.layers.Add(name=f"{prefix}_chain")([stream, chained])
        for layer in OPS[add_on.op].stock_layers(stream.shape[-1], f"{prefix}_{add_on.op}"):
            outputs = layer(outputs)
        previous = outputs
        if not add_on.feed_back:
            return stream
        return keras.layers.Add(name=f"{prefix}_feed_back")([stream, outputs])

    model = insert(backbone, make)
    built = cost.of_model(model)
    if built != architecture.cost:
        raise errors.UserError(
            f"cost says {architecture.cost}, the built network has {built}; "
            "the file was changed by hand or by another version"
        )
    return model
