"""The calls of a Functional model, in the order in which `keras.models.clone_model` makes them.

Add-on layers are inserted in that order, so all code that depends on an order uses this module. It lists
calls and not names, since one layer may be called more than once.
"""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation such as `x + y`.

    Attributes:
        layer: the layer or operation called.
        inputs: shapes [batch, ...] of its input tensors.
        outputs: shapes of its output tensors.
    """

    layer: keras.Operation
    inputs: tuple[tuple, ...]
    outputs: tuple[tuple, ...]


def calls(model, shape=None) -> list[Call]:
    """Return all calls of a Functional or Sequential model, for an input of shape [batch, ...] or its own."""
    found = []
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        found.append(Call(layer, _shapes((args, kwargs)), _shapes(outputs)))
        return outputs

    tensors = None
    if shape is not None:
        tensors = keras.tree.map_structure(lambda old: keras.Input(batch_shape=shape), model.input)
    keras.models.clone_model(
        model, input_tensors=tensors, clone_function=lambda layer: layer, call_function=call
    )
    return found


def is_functional(layer):
    """Return whether a layer is a model whose own layers are accessible and can be rebuilt."""
    return isinstance(layer, keras.Model) and type(layer).__name__ in ("Functional", "Sequential")


def keeps_state(layer):
    """Return whether a layer holds state that training does not learn, as an adapted `Normalization` does."""
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.BatchNormalization):
        return False
    return layer.trainable and bool(layer.weights) and not layer.trainable_weights


def renewable(layer):
    """Return whether a new network gets its own copy: not of operations and of layers that keep state."""
    return isinstance(layer, keras.layers.Layer) and not keeps_state(layer)


def fresh(layer):
    """Return a freshly initialised copy of a renewable layer, or any other layer as it is."""
    return layer.__class__.from_config(layer.get_config()) if renewable(layer) else layer


def _shapes(tensors):
    flat = keras.tree.flatten(tensors)
    return tuple(tuple(tensor.shape) for tensor in flat if isinstance(tensor, keras.KerasTensor))
