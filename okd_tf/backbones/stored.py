"""A prepared backbone as a file beside the arch.json of a student that contains it.

Its fingerprint covers all that defines the network: the model's configuration, the state that no training
changes, and the kept weights. It does not cover other initial weights, which the file holds as well; so
preparing the same model again gives the same fingerprint, whatever the seed.

Kept layers are given by the names of the other, new ones: `new` below is None where no weights are kept.
"""

import hashlib
import json
import pathlib

import keras

from okd_tf import errors
from okd_tf.backbones import graph, keras_file

NAME = "backbone.keras"


def kept(model, new) -> tuple[str, ...]:
    """Return the names of the layers whose weights are kept: all that have some, except those in `new`."""
    if new is None:
        return ()
    return tuple(layer.name for layer in model.layers if layer.weights and layer.name not in new)


def fingerprint(model, new=None) -> str:
    """Return the SHA-256 of a model's configuration and of the state and the weights that its layers keep."""
    with_weights = kept(model, new)
    digest = hashlib.sha256(json.dumps(json.loads(model.to_json()), sort_keys=True).encode())
    for layer in model.layers:
        if graph.keeps_state(layer) or layer.name in with_weights:
            for weight in layer.get_weights():
                digest.update(f"{layer.name} {weight.dtype} {weight.shape}".encode() + weight.tobytes())
    return digest.hexdigest()


def write(path, model):
    """Write a prepared backbone, whole or not at all."""
    keras_file.save(path, model)


def read(path, expected, new=None) -> keras.Model:
    """Read a prepared backbone; weights that are not kept have no meaning.

    Raises:
        UserError: the file is missing, unreadable, or has another fingerprint than expected.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.UserError(
            f"{path}: no such file; it belongs to the architecture: copy it from where that was found"
        )
    model = keras_file.load(path)
    if not graph.is_functional(model) or fingerprint(model, new) != expected:
        raise errors.UserError(
            f"{path}: is another backbone than the architecture was found on; copy both files of one search"
        )
    return model
