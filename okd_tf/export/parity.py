"""How far an exported file is from the Keras model it came from, and how fast it runs.

Every comparison is on the same uint8 images, through the runtime that users run: ai-edge-litert for TFLite,
`tf.saved_model.load` for the SavedModel.
"""

import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from okd_tf import files, quiet
from okd_tf.export import network, saved_model

BATCH = 256  # images at a time, where a file takes more than one
LATENCY_IMAGES = 200  # of a SavedModel, whose accuracy is measured in batches


@dataclasses.dataclass(frozen=True)
class Parity:
    """One exported file beside the Keras model.

    Attributes:
        bytes: size of the file, or of all files of a folder.
        input: what the file takes: name, dtype, shape, and scale and zero point if quantised.
        output: what it gives, in the same form.
        max_abs_diff: largest difference between its outputs and the Keras model's (logits of a TFLite file,
            probabilities of a SavedModel).
        agreement: share of images given the class that the Keras model gives them.
        accuracy: share of images given their label.
        latency_ms: median time of one image (batch 1): on one thread for TFLite, on TensorFlow's own choice
            of threads for a SavedModel.
        integer_share: of an int8 file, the share of its operations that compute in integers; else None.
        float_operations: of an int8 file, those that stay in float, with their layers; else empty.
    """

    bytes: int
    input: dict[str, Any]
    output: dict[str, Any]
    max_abs_diff: float
    agreement: float
    accuracy: float
    latency_ms: float
    integer_share: float | None = None
    float_operations: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Run:
    """What an exported file gave: outputs float32 [examples, classes], latency and its two tensors."""

    outputs: np.ndarray
    latency_ms: float
    input: dict[str, Any]
    output: dict[str, Any]


def logits(exported: network.Exported, images: np.ndarray) -> np.ndarray:
    """The network's own logits, before it is exported: images uint8 -> [examples, classes].

    images [examples, height, width, channels].
    """

    @tf.function(input_signature=[tf.TensorSpec([None, *images.shape[1:]], tf.uint8)], autograph=False)
    def forward(batch):
        return exported.call(tf.cast(batch, tf.float32))

    return np.concatenate([forward(tf.constant(batch)).numpy() for batch in _batches(images)])


def run_tflite(path: files.PathLike, images: np.ndarray) -> Run:
    """Runs a TFLite file on one image after the other, with one thread.

    Args:
        path: the file; its one input takes pixel values 0..255 as float32 or uint8.
        images: uint8 [examples, height, width, channels].

    Returns:
        The run; quantised outputs are given as the real numbers they stand for.
    """
    with quiet.output_held_back():
        interpreter = litert.Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs, seconds = [], []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis].astype(source["dtype"]))
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
        outputs.append(interpreter.get_tensor(sink["index"])[0])
    values = np.stack(outputs).astype(np.float32)
    scale, zero_point = sink["quantization"]
    if scale:
        values = (values - zero_point) * np.float32(scale)
    (input_name,), (output_name,) = next(iter(interpreter.get_signature_list().values())).values()
    return Run(values, _median_ms(seconds), _tensor(input_name, source), _tensor(output_name, sink))


def run_saved_model(path: files.PathLike, images: np.ndarray) -> Run:
    """Runs a SavedModel's serving signature in batches; latency is that of single images.

    images uint8 [examples, height, width, channels] -> probabilities [examples, classes].
    """
    serve = saved_model.read(path)
    batches = [serve(images=tf.constant(batch))["probabilities"].numpy() for batch in _batches(images)]
    seconds = []
    for image in images[:LATENCY_IMAGES]:
        single = tf.constant(image[np.newaxis])
        start = time.perf_counter()
        serve(images=single)["probabilities"].numpy()
        seconds.append(time.perf_counter() - start)
    probabilities = np.concatenate(batches)
    shapes = [None, *images.shape[1:]], [None, probabilities.shape[1]]
    return Run(
        probabilities,
        _median_ms(seconds),
        {"name": "images", "dtype": "uint8", "shape": shapes[0]},
        {"name": "probabilities", "dtype": "float32", "shape": shapes[1]},
    )


def compare(path: files.PathLike, run: Run, expected: np.ndarray, labels: np.ndarray) -> Parity:
    """Puts a run beside what the Keras model gives for the same images.

    Args:
        path: the file or folder that was run, for its size.
        run: what it gave.
        expected: float32 [examples, classes], the Keras model's logits or probabilities.
        labels: int32 [examples].
    """
    classes = run.outputs.argmax(axis=1)
    return Parity(
        bytes=size_bytes(path),
        input=run.input,
        output=run.output,
        max_abs_diff=float(np.abs(run.outputs - expected).max()),
        agreement=float((classes == expected.argmax(axis=1)).mean()),
        accuracy=float((classes == labels).mean()),
        latency_ms=run.latency_ms,
    )


def size_bytes(path: files.PathLike) -> int:
    """The size of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    parts = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(part.stat().st_size for part in parts)


def _batches(images):
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def _median_ms(seconds):
    return round(float(np.median(seconds)) * 1000, 4)


def _tensor(name, details):
    """A tensor of a TFLite file as JSON can hold it; `name` is its name in the signature."""
    described = {
        "name": name,
        "dtype": np.dtype(details["dtype"]).name,
        "shape": [int(size) for size in details["shape"]],
    }
    scale, zero_point = details["quantization"]
    if scale:
        described |= {"scale": float(scale), "zero_point": int(zero_point)}
    return described
