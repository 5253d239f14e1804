"""Precision of networks in training: float32, or bfloat16 or float16 with float32 weights.

This is Keras's mixed precision, set layer by layer and not by a global policy: a layer is recreated in
another precision with the same weights. Two kinds of layers always compute in float32: those that scale
pixels, whose statistics have more digits than sixteen bits hold, and the one that outputs logits.
"""

import keras

FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"
PRECISIONS = (FLOAT32, BFLOAT16, FLOAT16)

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


def policy(precision):
    """Return Keras's dtype policy of a precision: compute in it, with float32 weights."""
    return f"mixed_{precision}" if precision in (BFLOAT16, FLOAT16) else precision


def of_layer(layer, model, chosen):
    """Return the compute dtype of a layer of a model, where `chosen` is the precision of the training."""
    keeps_state = layer.weights and not layer.trainable_weights and layer.trainable
    if isinstance(layer, _SCALING) or keeps_state or layer.name in model.output_names:
        return FLOAT32
    # One of another type than numbers of 32 or 16 bits has its reasons.
    return chosen if layer.compute_dtype in PRECISIONS else layer.compute_dtype


def config_in(layer, dtype):
    """Return the config of a layer's copy in another precision or dtype policy."""
    return {**layer.get_config(), "dtype": dtype}


def in_policy(layer, dtype):
    """Return the layer itself if it has this policy's dtypes, else a freshly initialised copy that has."""
    wanted = keras.dtype_policies.get(dtype)
    if (layer.compute_dtype, layer.variable_dtype) == (wanted.compute_dtype, wanted.variable_dtype):
        return layer
    return layer.__class__.from_config(config_in(layer, dtype))


def in_float32(model):
    """Return the model itself, or a twin with the same weights in float32 if some layers compute in less.

    The other layers are the model's own, shared and not copied. But if a nested layer (of a model within the
    model, for example) computes in less, the whole model is recreated.
    """
    lower = {layer.name for layer in model.layers if _is_lower(layer)}
    within = [layer for layer in model.layers for part in _parts(layer) if _is_lower(part)]
    if within:
        return _anew_in_float32(model)
    if not lower:
        return model
    return with_layers(model, lambda layer: in_policy(layer, FLOAT32) if layer.name in lower else layer)


def _is_lower(layer):
    return layer.compute_dtype in (BFLOAT16, FLOAT16)


def _parts(layer):
    """Return all layers within a layer."""
    return layer._flatten_layers(include_self=False)


def _anew_in_float32(model):
    """Return the model recreated from its configuration, in float32 and with the same weights."""
    config = keras.saving.serialize_keras_object(model)
    twin = keras.saving.deserialize_keras_object(_raised(config))
    twin.set_weights(model.get_weights())
    for layer in _parts(twin):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # which makes of its weights what it computes with
    return twin


def _raised(config):
    """Return a configuration with float32 in place of the names of lower precisions and of their policies."""
    if isinstance(config, dict):
        return {key: _raised(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_raised, config))
    lower = (BFLOAT16, FLOAT16, policy(BFLOAT16), policy(FLOAT16))
    return FLOAT32 if isinstance(config, str) and config in lower else config


def with_layers(model, twin):
    """Return a model of the layers `twin(layer)`; a twin that is another layer gets the layer's weights."""

    def clone(operation):
        # Operations such as `x + y` are no layers: they have neither weights nor a precision.
        return twin(operation) if isinstance(operation, keras.layers.Layer) else operation

    copy = keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        if new is not old:
            new.set_weights(old.get_weights())
            if isinstance(new, keras.layers.Normalization):
                new.finalize_state()  # which makes of its weights what it computes with
    return copy
