"""Construction of students: insert add-on layers into a backbone, and build the network of a spec."""

from collections.abc import Callable

import keras

from okd_tf import backbones, errors
from okd_tf.arch import cost, spec
from okd_tf.backbones import attach, graph, stored
from okd_tf.ops import OPS


def insert(
    backbone: backbones.Backbone, make: Callable, clone_function: Callable = graph.fresh
) -> keras.Model:
    """Return a rebuilt backbone with insertions after its attach points; only its kept weights are copied.

    All other weights are freshly initialised. A layer that has nothing to learn but keeps state is shared
    with the backbone.

    Args:
        backbone: the backbone to rebuild.
        make: (name of the attach point, h_l) -> the tensor that the backbone goes on with. Called in the
            order of the network.
        clone_function: makes each layer of the new network from one of the old.
    """

    def clone(layer: keras.Operation) -> keras.Operation:
        return clone_function(layer) if graph.renewable(layer) else layer

    def call(layer: keras.layers.Layer, *args: object, **kwargs: object) -> object:
        outputs = layer(*args, **kwargs)
        return make(layer.name, outputs) if layer.name in backbone.attach_points else outputs

    model = keras.models.clone_model(backbone.model, clone_function=clone, call_function=call)
    for name in backbone.kept:
        # Twins for training, such as fused batch norms, have their weights in the same order.
        model.get_layer(name).set_weights(backbone.model.get_layer(name).get_weights())
    return model


def prefix(backbone: backbones.Backbone) -> str:
    """Return a prefix for names of add-on layers with which no name in the backbone begins."""
    names = [operation.name for operation in backbone.model.operations]
    start = "addon"
    while any(name.startswith(start) for name in names):
        start = f"new_{start}"
    return start


def bare_backbone(architecture: spec.ArchSpec) -> backbones.Backbone:
    """Return the backbone of a spec without its add-on layers, freshly initialised except for kept weights.

    Raises:
        UserError: the backbone is unknown, its file is missing or another one, or it lacks attach points.
    """
    backbone = _backbone(architecture)
    if architecture.backbone_path is None:
        return backbone
    # The weights in a file are not those of the run's seed.
    model = insert(backbone, lambda name, stream: stream)
    return backbones.Backbone(model, backbone.attach_points, backbone.kept)


def kept(architecture: spec.ArchSpec) -> tuple[str, ...]:
    """Return the names of the layers of a student, or of its bare backbone, that start from a file's weights.

    Raises:
        UserError: the same errors as of `bare_backbone`.
    """
    return _backbone(architecture).kept if architecture.keep_weights else ()


def _backbone(architecture: spec.ArchSpec) -> backbones.Backbone:
    path = architecture.backbone_path
    if path is None:
        backbone = backbones.build(
            architecture.backbone,
            architecture.width,
            architecture.input_shape,
            architecture.classes,
            architecture.mean,
            architecture.std,
        )
    else:
        new = architecture.new_layers if architecture.keep_weights else None
        model = stored.read(path, architecture.backbone_sha256, new)
        backbone = backbones.Backbone(model, (), stored.kept(model, new))
    if not architecture.attach_points:
        return backbone
    possible = list(attach.shapes(backbone.model))
    for point in architecture.attach_points:
        if point not in possible:
            raise errors.UserError(
                f"attach_points: no add-on layer can come after '{point}' of {architecture.backbone}, which "
                "is not a layer of it or gives no [height, width, channels]; search again"
            )
    ordered = [name for name in possible if name in architecture.attach_points]
    if ordered != list(architecture.attach_points):
        raise errors.UserError(
            f"attach_points: the order in {architecture.backbone} is {', '.join(ordered)}; mend it"
        )
    return backbones.Backbone(backbone.model, architecture.attach_points, backbone.kept)


def student(architecture: spec.ArchSpec) -> keras.Model:
    """Build the network of a spec from stock Keras layers: pixels 0..255 -> logits.

    It is freshly initialised. If the spec keeps the backbone's weights, it computes the same function as the
    backbone's file, except for new layers, since add-on layers then begin at zero.

    Raises:
        UserError: the spec names an unknown operation, backbone or attach point, chains layers that cannot be
            chained, or has another cost than the built network.
    """
    backbone = _backbone(architecture)
    start = prefix(backbone)
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
        name = f"{start}{backbone.attach_points.index(after) + 1}"
        outputs = stream
        if add_on.chain:
            if chained is None or chained.shape != stream.shape:
                raise errors.UserError(
                    f"add-on layer after {after}: chain asks for a previous add-on layer of shape "
                    f"{stream.shape[1:]}, and there is none; set chain to false"
                )
            outputs = keras.layers.Add(name=f"{name}_chain")([stream, chained])
        operation = OPS[add_on.op]
        at_zero = architecture.keep_weights
        for layer in operation.all_layers(stream.shape[-1], f"{name}_{add_on.op}", at_zero):
            outputs = layer(outputs)
        previous = outputs
        if not add_on.feed_back:
            return stream
        return keras.layers.Add(name=f"{name}_feed_back")([stream, outputs])

    model = insert(backbone, make)
    built = cost.of_model(model)
    if built != architecture.cost:
        raise errors.UserError(
            f"cost says {architecture.cost}, the built network has {built}; "
            "the file was changed by hand or by another version"
        )
    return model
