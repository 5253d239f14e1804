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
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from okd_tf import errors, files, json_file, kept
from okd_tf.data import examples as data_examples
from okd_tf.data import splits as data_splits
from okd_tf.export import conversion, network, parity, saved_model, tflite, tflite_file
from okd_tf.teachers import teacher

REPORT = "report.json"
LABELS = "labels.txt"
SAVED_MODEL, FLOAT32, INT8 = FORMATS = "saved_model", "float32", "int8"


def export_student(
    student: "keras.Model | teacher.Teacher",
    splits: data_splits.Splits,
    directory: files.PathLike,
    formats: Sequence[str] = FORMATS,
    representative_examples: int = 256,
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Writes a student's SavedModel, TFLite files, labels and report.

    Args:
        student: pixel values 0..255 [batch, height, width, channels] -> logits [batch, classes]; or one from
            elsewhere, as `teacher.read` reads it with `exact=True`. One in mixed precision is exported, and
            compared, as its float32 copy.
        splits: the training split gives representative images to int8, the test split the comparison.
        directory: where to write; made if it is not there.
        formats: of FORMATS, what is written.
        representative_examples: how many training images set the ranges of int8 activations.
        progress: told in a few words what is being done.

    Returns:
        What report.json holds: "files" (name -> the fields of parity.Parity), "examples" (number of test
        images) and "keras_accuracy" (of the network before it was exported).

    Raises:
        UserError: the model does not fit the data, a format is unknown, the model cannot be converted or
            needs operations that the stock TFLite runtime does not have, or the file system refuses.
    """
    _check_request(formats, representative_examples)
    exported = network.of(student, splits)
    if set(formats) & set(tflite.FORMATS):
        conversion.start()
    directory = pathlib.Path(directory)
    for name in (REPORT, *(file_name(name) for name in FORMATS if name not in formats)):
        files.remove(directory / name)
    # Files are compared image by image, which takes minutes: a kill costs one file.
    done = kept.Kept(directory / ".kept", [exported.sha256, splits.record(), representative_examples])
    test = splits.test
    progress(f"the Keras model on {len(test)} test images")
    logits = parity.logits(exported, test.images)
    reports = {}

    def make_saved_model(path):
        saved_model.write(exported, path)
        probabilities = _softmax(logits)
        saved_model.check(path, test.images[: parity.BATCH], probabilities[: parity.BATCH])
        return parity.compare(path, parity.run_saved_model(path, test.images), probabilities, test.labels)

    def make_tflite(path, name):
        images = representative_images(splits.train, representative_examples)
        content = tflite.FORMATS[name](exported, images)
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
        found = parity.compare(path, parity.run_tflite(path, test.images), logits, test.labels)
        if name != INT8:
            return found
        used = tflite_file.arithmetic(content, exported.scopes)
        return dataclasses.replace(found, **dataclasses.asdict(used))

    for name in FORMATS:
        if name in formats:
            make = functools.partial(make_tflite, name=name) if name in tflite.FORMATS else make_saved_model
            progress(file_name(name))
            reports[file_name(name)] = _once(done, directory / file_name(name), make)

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


def written(formats: Sequence[str] = FORMATS) -> tuple[str, ...]:
    """The names of what an export leaves in its folder."""
    return (*(file_name(name) for name in formats), LABELS, REPORT)


def file_name(format_name: str) -> str:
    """The file or folder that a format is written to."""
    return format_name if format_name == SAVED_MODEL else f"student_{format_name}.tflite"


def representative_images(train: data_examples.Examples, count: int) -> np.ndarray:
    """Images evenly spread over a split, which is ordered by id: uint8 [at most count, h, w, channels].

    Where ids go class by class, every class is then seen.
    """
    rows = np.linspace(0, len(train) - 1, min(count, len(train)))
    return train.images[np.rint(rows).astype(int)]


def _check_request(formats, representative_examples):
    """Refuses in the first second what would fail, or be nonsense, after minutes."""
    for name in formats:
        if name not in FORMATS:
            raise errors.unknown("export format", name, FORMATS)
    if representative_examples < 1:
        raise errors.UserError(
            f"int8 export: {representative_examples} representative examples asked; ask for 1 or more"
        )


def _softmax(logits):
    """Logits [examples, classes] -> probabilities, by NumPy: independent of the graph that is checked."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
