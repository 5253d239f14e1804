"""What a Functional model calls, in the order in which `keras.models.clone_model` calls it.

That order is the one that add-on layers are put in by, so everything that speaks of an order asks here.
Layers are counted by their calls and not by their names: one layer may be called more than once.
"""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation such as `x + y`.

    Attributes:
        layer: what is called.
        inputs: shapes [batch, ...] of the tensors it is called on.
        outputs: shapes of the tensors it gives.
    """

    layer: keras.Operation
    inputs: tuple[tuple, ...]
    outputs: tuple[tuple, ...]


def calls(model, shape=None) -> list[Call]:
    """All calls of a Functional or Sequential model, for an input of this shape [batch, ...] or its own."""
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
    """Whether a layer is a model whose own layers can be seen and rebuilt."""
    return isinstance(layer, keras.Model) and type(layer).__name__ in ("Functional", "Sequential")


def keeps_state(layer):
    """Whether a layer holds state that is not learnt in training, such as what `Normalization` adapted to."""
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.BatchNormalization):
        return False
    return layer.trainable and bool(layer.weights) and not layer.trainable_weights


def renewable(layer):
    """Whether a new network gets a layer of its own in its place: not for operations and what keeps state."""
    return isinstance(layer, keras.layers.Layer) and not keeps_state(layer)


def fresh(layer):
    """A freshly initialised copy of a layer that is renewable; any other as it is."""
    return layer.__class__.from_config(layer.get_config()) if renewable(layer) else layer


def _shapes(tensors):
    flat = keras.tree.flatten(tensors)
    return tuple(tuple(tensor.shape) for tensor in flat if isinstance(tensor, keras.KerasTensor))
