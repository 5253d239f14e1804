"""What accuracy and loss do not tell of a finished network: which classes it knows, what it takes for what,
and whether it knows how sure it can be.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # of the calibration error
TOP = 5
SCALARS = ("top5_accuracy", "expected_calibration_error")
OF_CLASSES = ("class_names", "per_class_accuracy", "confusion")
RIGHT = "right"  # which examples are recognised


def figures(logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """All that is here, as metrics.json has it: JSON values.

    Args:
        logits: [examples, classes].
        labels: int [examples].
        class_names: [classes]; they need not differ, so what is of each class is a list in their order.

    Returns:
        top5_accuracy: only of more than five classes.
        expected_calibration_error: as `calibration_error` says.
        class_names: those given.
        per_class_accuracy: [classes], null for a class without examples.
        confusion: [classes, classes] of counts, rows the true class, columns the predicted one.
        right: which examples are recognised, as `packed` has it.
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
    """Return the flags that `packed` was given, and up to seven False more.

    Raises:
        ValueError: not pairs of hexadecimal digits.
    """
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8)).astype(bool)


def top_accuracy(logits: np.ndarray, labels: np.ndarray, count: int) -> float:
    """The share of rows whose label is among the `count` largest logits.

    Of tied logits the class that comes first counts as the larger, as in the accuracy, which this is for a
    `count` of 1. logits [examples, classes], labels int [examples].
    """
    own = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.int64), axis=1)
    first = np.arange(logits.shape[1]) < labels[:, np.newaxis]
    ahead = (logits > own) | ((logits == own) & first)
    return float(np.mean(ahead.sum(axis=1) < count))


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many examples of each class are taken for which: int64 [classes, classes].

    Rows are true classes, columns the predicted ones, of tied logits the first. logits [examples, classes],
    labels int [examples].
    """
    classes = logits.shape[1]
    pairs = labels.astype(np.int64) * classes + np.argmax(logits, axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def per_class_accuracy(confused: np.ndarray) -> list[float | None]:
    """The share of each class's examples that are recognised; None of a class without any.

    confused int [classes, classes], as `confusion` gives it, -> [classes].
    """
    pairs = zip(np.diag(confused).tolist(), confused.sum(axis=1).tolist(), strict=True)
    return [right / total if total else None for right, total in pairs]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error: how far confidence is from accuracy, over bins of equal width.

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
    """Probabilities float64 [..., classes] of logits [..., classes]."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def mean_over_classes(test: dict[str, Any]) -> float:
    """The accuracy where each class counts the same, of those that have examples.

    `test` is what `figures` gives.
    """
    return float(np.mean([share for share in test["per_class_accuracy"] if share is not None]))


def unseen(test: dict[str, Any]) -> list[str]:
    """Names of the classes without examples. `test` is what `figures` gives."""
    named = zip(test["class_names"], test["per_class_accuracy"], strict=True)
    return [name for name, share in named if share is None]


def hardest(test: dict[str, Any], count: int = 3) -> list[tuple[str, float]]:
    """Names and accuracies of the classes that are recognised least, the worst first.

    Only those that are not always recognised; of equal ones the first. `test` is what `figures` gives.
    """
    named = zip(test["class_names"], test["per_class_accuracy"], strict=True)
    missed = [(name, share) for name, share in named if share is not None and share < 1]
    return sorted(missed, key=lambda one: one[1])[:count]


def most_confused(test: dict[str, Any]) -> tuple[str, str, int, int] | None:
    """The most frequent mistake: true class, what it is taken for, how often, of how many.

    None if none is made twice; of equally frequent ones the first. `test` is what `figures` gives.
    """
    mistakes = np.array(test["confusion"], np.int64)
    totals = mistakes.sum(axis=1)
    np.fill_diagonal(mistakes, 0)
    true, predicted = np.unravel_index(np.argmax(mistakes), mistakes.shape)
    found = int(mistakes[true, predicted])
    names = test["class_names"]
    return (names[true], names[predicted], found, int(totals[true])) if found > 1 else None
