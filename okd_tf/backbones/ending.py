"""The end of a network: detect whether it is a softmax, sigmoids or neither, and remove it.

It is detected in the graph, since outputs are ambiguous: a confident softmax of two classes looks like
sigmoids, and the logits of a poorly trained network may all lie between 0 and 1.
"""

import keras

from okd_tf.backbones import graph, prepare

SOFTMAX, SIGMOID, LINEAR, UNKNOWN = "softmax", "sigmoid", "linear", ""

# Operations after which numbers are what they were.
_PASSING = ("Identity", "Cast", "Dropout", "ConvertToTensor")


def of(network) -> str:
    """Return SOFTMAX, SIGMOID, LINEAR (outputs of a layer with weights as they are) or UNKNOWN.

    Args:
        network: a built Keras model.
    """
    if not graph.is_functional(network):
        return UNKNOWN
    last = _last(network)
    if graph.is_functional(last):
        return of(last)
    return _kind(last)


def without(network) -> keras.Model:
    """Return the network without the softmax or the sigmoid that `of` detects; layers are shared.

    Args:
        network: a built Functional or Sequential model of one input and one output.
    """
    network = prepare.flat(network)
    last = _last(network)
    weighted, linear = bool(getattr(last, "weights", None)), last
    if weighted:
        linear = last.__class__.from_config({**last.get_config(), "activation": LINEAR})

    def clone(operation):
        return linear if operation is last else operation

    def call(operation, *args, **kwargs):
        return args[0] if operation is last and not weighted else operation(*args, **kwargs)

    copy = keras.models.clone_model(network, clone_function=clone, call_function=call)
    if weighted:
        linear.set_weights(last.get_weights())
    return copy


def _last(network):
    """Return the operation that computes the output, skipping operations that pass on their input."""
    # No model is made to look at it: Keras numbers those, and so the names of all that come after.
    if isinstance(network, keras.Sequential):
        last = network.layers[-1]
    else:
        last = next(one for one in network.operations if one.name == network.output_names[0])
    if not _passes(last):
        return last
    # Rare, and a walk over all calls.
    return next((call.layer for call in reversed(graph.calls(network)) if not _passes(call.layer)), last)


def _passes(operation):
    idle = type(operation).__name__ == "Activation" and _activation(operation) == LINEAR
    return idle or type(operation).__name__ in _PASSING


def _kind(operation):
    name = type(operation).__name__
    if name in ("Softmax", "Sigmoid"):
        return name.lower()
    activation = _activation(operation)
    if activation == LINEAR and not getattr(operation, "weights", None):
        return UNKNOWN
    return activation if activation in (SOFTMAX, SIGMOID, LINEAR) else UNKNOWN


def _activation(operation):
    return getattr(getattr(operation, "activation", None), "__name__", "")
