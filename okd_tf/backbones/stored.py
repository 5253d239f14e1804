"""A prepared backbone as a file beside the arch.json that grows from it.

Its fingerprint is of what decides the network: the model's configuration and the state that no training
changes. Initial weights, which the file holds as well, are not in it; so preparing the same model again gives
the same fingerprint, whatever the seed.
"""

import hashlib
import json
import pathlib

import keras

from okd_tf import errors
from okd_tf.backbones import graph, keras_file

NAME = "backbone.keras"


def fingerprint(model) -> str:
    """SHA-256 of a model's configuration and of the state that its layers keep."""
    digest = hashlib.sha256(json.dumps(json.loads(model.to_json()), sort_keys=True).encode())
    for layer in model.layers:
        if graph.keeps_state(layer):
            for weight in layer.get_weights():
                digest.update(f"{layer.name} {weight.dtype} {weight.shape}".encode() + weight.tobytes())
    return digest.hexdigest()


def write(path, model):
    """Writes a prepared backbone, whole or not at all."""
    keras_file.save(path, model)


def read(path, expected) -> keras.Model:
    """Reads a prepared backbone; its weights are of no meaning.

    Raises:
        UserError: missing, unreadable, or of another fingerprint than expected.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.UserError(
            f"{path}: no such file; it belongs to the architecture: copy it from where that was found"
        )
    model = keras_file.load(path)
    if not graph.is_functional(model) or fingerprint(model) != expected:
        raise errors.UserError(
            f"{path}: is another backbone than the architecture was found on; copy both files of one search"
        )
    return model
