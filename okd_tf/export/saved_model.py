"""The SavedModel of a student: images as they come from a file in, probabilities out.

Signature `serving_default`: "images" uint8 [batch, height, width, channels], any batch size ->
{"probabilities": float32 [batch, classes]}. It loads with `tf.saved_model.load` in a program that has
neither okd_tf nor Keras.
"""

import hashlib

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2

from okd_tf import files, quiet
from okd_tf.export import network

SIGNATURE = "serving_default"
# Of probabilities. Keras and the loaded graph run the same ops; only the order of additions may differ.
TOLERANCE = 1e-4


def write(exported: network.Exported, path: files.PathLike) -> None:
    """Writes the SavedModel folder; `path` is replaced whole or left as it was.

    Args:
        exported: the network.
        path: the folder to write.

    Raises:
        UserError: the file system refuses.
    """
    images = tf.TensorSpec([None, *exported.image_shape], tf.uint8, name="images")

    @tf.function(input_signature=[images], autograph=False)
    def serve(images):
        logits = exported.call(tf.cast(images, tf.float32))
        return {"probabilities": tf.nn.softmax(logits)}

    # Not Keras's ExportArchive, which numbers the variables in the order of a set, another in each process.
    served = tf.Module()
    served.state = exported.holds
    served.serve = serve
    with files.replacing(path) as temporary, quiet.output_held_back():
        with files.literal(temporary) as name:
            tf.saved_model.save(served, name, signatures={SIGNATURE: serve})
        _make_repeatable(temporary / "fingerprint.pb")


def _make_repeatable(path):
    """Replaces the random part of a fingerprint by the hash of the others, which are of the content."""
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.uuid = ""
    fingerprint.uuid = hashlib.sha256(fingerprint.SerializeToString(deterministic=True)).hexdigest()
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))


def read(path: files.PathLike):
    """The serving signature of a written SavedModel: (images=uint8 tensor) -> {"probabilities": tensor}."""
    with quiet.output_held_back(), files.literal(path) as name:
        loaded = tf.saved_model.load(name)
        signature = loaded.signatures[SIGNATURE]
    # A signature holds its variables weakly; without this they are gone when `loaded` is.
    signature.owner = loaded
    return signature


def check(path: files.PathLike, images: np.ndarray, probabilities: np.ndarray) -> None:
    """Reads a written SavedModel back and holds it against the probabilities of the Keras model.

    Args:
        path: the folder.
        images: uint8 [examples, height, width, channels].
        probabilities: float32 [examples, classes], what the Keras model gives for them.

    Raises:
        RuntimeError: they differ by more than TOLERANCE.
    """
    served = read(path)(images=tf.constant(images))["probabilities"].numpy()
    difference = float(np.abs(served - probabilities).max())
    # Written so that NaN fails too.
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{path}: its probabilities differ from the Keras model's by {difference:.2g}, "
            f"at most {TOLERANCE:.2g} is expected"
        )
