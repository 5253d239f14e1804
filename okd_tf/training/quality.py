"""Quality of a classifier beyond accuracy and loss: accuracy per class, confusion and calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # of the calibration error
TOP = 5
SCALARS = ("top5_accuracy", "expected_calibration_error")
OF_CLASSES = ("class_names", "per_class_accuracy", "confusion")
RIGHT = "right"  # which examples are recognised


def figures(logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Return all figures of this module as JSON values, as they are in metrics.json.

    Args:
        logits: [examples, classes].
        labels: int [examples].
        class_names: [classes]; names may repeat, so figures per class are lists in their order.

    Returns:
        top5_accuracy: only for more than five classes.
        expected_calibration_error: see `calibration_error`.
        class_names: the names given.
        per_class_accuracy: [classes], null for a class without examples.
        confusion: [classes, classes] of counts, rows the true class, columns the predicted one.
        right: flags of the examples classified correctly, packed by `packed`.
    """
    confused = confusion(logits, labels)
    return {
        **({"top5_accuracy": top_accuracy(logits, labels, TOP)} if len(class_names) > TOP else {}),
        "expected_calibration_error": calibration_error(softmax(logits), labels),
        "class_names": list(class_names),
        "per_class_accuracy": per_class_accuracy(confused),
        "confusion": confused.tolist(),
        RIGHT: packed(np.argmax(logits, axis=1) == labels),
    }


def packed(flags: np.ndarray) -> str:
    """Return flags [examples] as hexadecimal digits, four flags each, the first in the highest bit."""
    return np.packbits(flags).tobytes().hex()


def unpacked(digits: str) -> np.ndarray:
    """Return the flags given to `packed`, followed by up to seven False.

    Raises:
        ValueError: the text is not pairs of hexadecimal digits.
    """
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8)).astype(bool)


def top_accuracy(logits: np.ndarray, labels: np.ndarray, count: int) -> float:
    """Return the share of rows whose label is among the `count` largest logits.

    Ties go to the class that comes first; with a `count` of 1 this is the accuracy.
    logits [examples, classes], labels int [examples].
    """
    own = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.int64), axis=1)
    first = np.arange(logits.shape[1]) < labels[:, np.newaxis]
    ahead = (logits > own) | ((logits == own) & first)
    return float(np.mean(ahead.sum(axis=1) < count))


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the confusion matrix, int64 [classes, classes]: number of examples by true and predicted class.

    Rows are true classes, columns predicted ones; ties between logits go to the first class.
    logits [examples, classes], labels int [examples].
    """
    classes = logits.shape[1]
    pairs = labels.astype(np.int64) * classes + np.argmax(logits, axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def per_class_accuracy(confused: np.ndarray) -> list[float | None]:
    """Return the accuracy on each class's examples; None for a class without examples.

    confused int [classes, classes], the result of `confusion`, -> [classes].
    """
    pairs = zip(np.diag(confused).tolist(), confused.sum(axis=1).tolist(), strict=True)
    return [right / total if total else None for right, total in pairs]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over equal bins.

        sum_b (n_b / n) |accuracy of b - mean confidence of b|,    b = ((m - 1) / 15, m / 15],

    confidence being the largest probability. Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural
    Networks" (2017), eq. 3.

    probabilities [examples, classes], labels int [examples].
    """
    confidence = probabilities.max(axis=-1)
    right = np.argmax(probabilities, axis=-1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities float64 [..., classes] of logits [..., classes]."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def mean_over_classes(test: dict[str, Any]) -> float:
    """Return the mean of the per-class accuracies, over the classes that have examples.

    `test` is the result of `figures`.
    """
    return float(np.mean([share for share in test["per_class_accuracy"] if share is not None]))


def unseen(test: dict[str, Any]) -> list[str]:
    """Return the names of the classes without examples. `test` is the result of `figures`."""
    named = zip(test["class_names"], test["per_class_accuracy"], strict=True)
    return [name for name, share in named if share is None]


def hardest(test: dict[str, Any], count: int = 3) -> list[tuple[str, float]]:
    """Return names and accuracies of the `count` classes with the lowest accuracy, ascending.

    Classes with an accuracy of 1 are left out; ties keep the order of the classes. `test` is the result of
    `figures`.
    """
    named = zip(test["class_names"], test["per_class_accuracy"], strict=True)
    missed = [(name, share) for name, share in named if share is not None and share < 1]
    return sorted(missed, key=lambda one: one[1])[:count]


def most_confused(test: dict[str, Any]) -> tuple[str, str, int, int] | None:
    """Return the most frequent mistake: true class, predicted class, its count, examples of the true class.

    None if no mistake occurs twice; ties go to the first. `test` is the result of `figures`.
    """
    mistakes = np.array(test["confusion"], np.int64)
    totals = mistakes.sum(axis=1)
    np.fill_diagonal(mistakes, 0)
    true, predicted = np.unravel_index(np.argmax(mistakes), mistakes.shape)
    found = int(mistakes[true, predicted])
    names = test["class_names"]
    return (names[true], names[predicted], found, int(totals[true])) if found > 1 else None
