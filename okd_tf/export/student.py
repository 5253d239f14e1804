"""Everything that leaves with a student, in one folder.

    saved_model/              uint8 images, any batch size -> probabilities
    student_float32.tflite    float32 pixels, one image -> logits
    student_int8.tflite       uint8 pixels, one image -> int8 logits
    labels.txt                the class names, one a line, in the order of the outputs
    report.json               each file beside the Keras model, on the test split

The report is written last, and an older one removed first: where it is, the files beside it are its own.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from okd_tf import errors, files, json_file, kept
from okd_tf.data import examples as data_examples
from okd_tf.data import splits as data_splits
from okd_tf.export import parity, saved_model, tflite
from okd_tf.ops import precision

REPORT = "report.json"
LABELS = "labels.txt"
SAVED_MODEL = "saved_model"


def export_student(
    model: keras.Model,
    splits: data_splits.Splits,
    directory: files.PathLike,
    formats: Sequence[str] = ("float32", "int8"),
    representative_examples: int = 256,
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Writes a student's SavedModel, TFLite files, labels and report.

    Args:
        model: pixel values 0..255 [batch, height, width, channels] -> logits [batch, classes]. One in mixed
            precision is exported, and compared, as its float32 copy.
        splits: the training split gives representative images to int8, the test split the comparison.
        directory: where to write; made if it is not there.
        formats: keys of tflite.FORMATS; () writes the SavedModel only.
        representative_examples: how many training images set the ranges of int8 activations.
        progress: told in a few words what is being done.

    Returns:
        What report.json holds: "files" (name -> the fields of parity.Parity), "examples" (number of test
        images) and "keras_accuracy".

    Raises:
        UserError: the model does not fit the data, a format is unknown, the model needs operations that the
            stock TFLite runtime does not have, or the file system refuses.
    """
    _check_request(model, splits, formats, representative_examples)
    # TFLite's kernels compute in nothing less.
    model = precision.in_float32(model)
    directory = pathlib.Path(directory)
    for name in (REPORT, *(file_name(name) for name in tflite.FORMATS if name not in formats)):
        files.remove(directory / name)
    # Files are compared image by image, which takes minutes: a kill costs one file.
    done = kept.Kept(directory / ".kept", [_fingerprint(model), splits.record(), representative_examples])
    test = splits.test
    progress(f"the Keras model on {len(test)} test images")
    logits = parity.keras_logits(model, test.images)
    reports = {}

    def make_saved_model(path):
        saved_model.write(model, path)
        probabilities = _softmax(logits)
        saved_model.check(path, test.images[: parity.BATCH], probabilities[: parity.BATCH])
        return parity.compare(path, parity.run_saved_model(path, test.images), probabilities, test.labels)

    def make_tflite(path, convert):
        content = convert(model, representative_images(splits.train, representative_examples))
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
        return parity.compare(path, parity.run_tflite(path, test.images), logits, test.labels)

    makers = {SAVED_MODEL: make_saved_model}
    for name in formats:
        makers[file_name(name)] = functools.partial(make_tflite, convert=tflite.FORMATS[name])
    for name, make in makers.items():
        progress(name)
        reports[name] = _once(done, directory / name, make)

    files.write_text(directory / LABELS, "".join(f"{name}\n" for name in splits.class_names))
    keras_accuracy = float((logits.argmax(axis=1) == test.labels).mean())
    report = {"files": reports, "examples": len(test), "keras_accuracy": keras_accuracy}
    json_file.write(directory / REPORT, report)
    done.forget()
    return report


def _once(done, path, make):
    """The entry of a file that `make(path)` writes; it is not made again while it is as it was written."""

    def write():
        entry = dataclasses.asdict(make(path))
        return {"sha256": files.sha256(path), "entry": entry}

    def holds(found):
        return path.exists() and found["sha256"] == files.sha256(path)

    return done.value(path.name, write, holds)["entry"]


def _fingerprint(model):
    """The SHA-256 of a network: of its structure and weights."""
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def written(formats: Sequence[str] = ("float32", "int8")) -> tuple[str, ...]:
    """The names of what an export leaves in its folder."""
    return (SAVED_MODEL, *(file_name(name) for name in formats), LABELS, REPORT)


def file_name(format_name: str) -> str:
    """The file that a format is written to."""
    return f"student_{format_name}.tflite"


def representative_images(train: data_examples.Examples, count: int) -> np.ndarray:
    """Images evenly spread over a split, which is ordered by id: uint8 [at most count, h, w, channels].

    Where ids go class by class, every class is then seen.
    """
    rows = np.linspace(0, len(train) - 1, min(count, len(train)))
    return train.images[np.rint(rows).astype(int)]


def _check_request(model, splits, formats, representative_examples):
    """Refuses in the first second what would fail, or be nonsense, after minutes."""
    for name in formats:
        if name not in tflite.FORMATS:
            raise errors.unknown("export format", name, tflite.FORMATS)
    if representative_examples < 1:
        raise errors.UserError(
            f"int8 export: {representative_examples} representative examples asked; ask for 1 or more"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise errors.UserError(
            f"export: expected a model of one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}; export a model that goes from an image to logits"
        )
    if tuple(model.input_shape[1:]) != splits.image_shape:
        raise errors.UserError(
            f"export: the model takes images of shape {list(model.input_shape[1:])}, {splits.name} has "
            f"{list(splits.image_shape)}; export it with the dataset it was trained on"
        )
    if tuple(model.output_shape[1:]) != (splits.classes,):
        raise errors.UserError(
            f"export: the model gives logits of shape {list(model.output_shape[1:])}, {splits.name} has "
            f"{splits.classes} classes; export it with the dataset it was trained on"
        )


def _softmax(logits):
    """Logits [examples, classes] -> probabilities, by NumPy: independent of the graph that is checked."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
