"""Who is right, and how sure: what each teacher, their mean, vote and oracle know of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from okd_tf import fields, files
from okd_tf.training import quality

PARTS = ("train", "train_views", "val", "test")  # of diagnosis.json

MARK = "(!)"  # of figures that may be of memory: on images that a teacher may have been trained on

LITTLE = 0.01  # of what the oracle reaches: what a teacher that adds nothing may add


def diagnose(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Figures of an ensemble on one split; a share is of its examples.

    Args:
        logits: [teachers, examples, classes].
        labels: int [examples].

    Returns:
        per_teacher: accuracy of each.
        mean: of the mean of their probabilities.
        vote: of the class most of them predict; among tied classes, the one whose voters are surest
            (largest sum of probabilities).
        oracle: share that at least one teacher gets right, the most an oracle can reach.
        k_of_n: [teachers + 1], share that exactly k teachers get right.
        calibration: expected calibration error, {"per_teacher": [teachers], "mean"}.
        loss: cross-entropy in nats, {"per_teacher": [teachers], "mean"}.
        agreement: [teachers, teachers], share for which two predict the same class.
        oracle_differs: share whose target in oracle distillation (the mean of the right teachers' soft
            targets; the label where none is) is not the mean of all: those that not all get right.
        leave_one_out: accuracies of mean and oracle without each teacher, {"mean": [teachers], "oracle":
            [teachers]}; both empty of a single one.
    """
    probabilities = quality.softmax(logits)
    predictions = np.argmax(logits, axis=-1)
    right = predictions == labels
    teachers, _, classes = logits.shape
    mean = probabilities.mean(axis=0)
    votes = (predictions[..., np.newaxis] == np.arange(classes)).sum(axis=0)
    # Probabilities sum to less than one vote, so they only break ties.
    vote = np.argmax(votes + probabilities.sum(axis=0) / (teachers + 1), axis=-1)
    num_right = right.sum(axis=0)
    k_of_n = [float(np.mean(num_right == k)) for k in range(teachers + 1)]
    others = range(teachers) if teachers > 1 else ()
    log_p = _log_p(logits, labels)
    return {
        "per_teacher": [float(share) for share in right.mean(axis=1)],
        "mean": _accuracy(mean, labels),
        "vote": float(np.mean(vote == labels)),
        "oracle": float(np.mean(num_right > 0)),
        "k_of_n": k_of_n,
        "calibration": {
            "per_teacher": [quality.calibration_error(each, labels) for each in probabilities],
            "mean": quality.calibration_error(mean, labels),
        },
        "loss": {
            "per_teacher": [float(loss) for loss in -log_p.mean(axis=1)],
            "mean": float(np.mean(np.log(teachers) - np.logaddexp.reduce(log_p, axis=0))),
        },
        "agreement": [[float(np.mean(one == other)) for other in predictions] for one in predictions],
        "oracle_differs": float(np.mean(num_right < teachers)),
        "leave_one_out": {
            "mean": [_accuracy(np.delete(probabilities, index, 0).mean(axis=0), labels) for index in others],
            "oracle": [float(np.mean(num_right > right[index])) for index in others],
        },
    }


def titles(teachers: Sequence[dict[str, Any]]) -> list[str]:
    """What to call each of the teachers of a diagnosis.json: with its backbone, where that is known."""
    return [
        f"teacher {index + 1}" + (f" ({teacher['backbone']})" if "backbone" in teacher else "")
        for index, teacher in enumerate(teachers)
    ]


def mark(found: dict[str, Any], part: str, index: int | None = None) -> str:
    """Return what to write after a figure on a part: MARK if it may be of memory, else "".

    Args:
        found: what diagnosis.json holds.
        part: of PARTS.
        index: of a teacher, from 0; None is of all together.
    """
    flags = found.get("carved", {}).get(part, [])
    return f" {MARK}" if (any(flags) if index is None else flags and flags[index]) else ""


def adds_nothing(part: dict[str, Any]) -> list[int]:
    """Which teachers (from 0), left out alone, do not lower the mean and hardly what the oracle reaches."""
    without = part["leave_one_out"]
    return [
        index
        for index, (mean, oracle) in enumerate(zip(without["mean"], without["oracle"], strict=True))
        if mean >= part["mean"] and oracle > part["oracle"] - LITTLE
    ]


def read(path: files.PathLike) -> dict[str, Any]:
    """What a diagnosis.json holds.

    Raises:
        UserError: a part or figure is missing, as in older ones, or of another kind; names file and field.
    """
    document = fields.read(path, mend="delete it, and the teachers stage writes it again")
    teachers = document["teachers"].items()
    for teacher in teachers:
        teacher["file"].text(), teacher["sha256"].text(), teacher["params"].whole()
        if backbone := teacher.get("backbone"):
            backbone.text()
    count = len(teachers)
    for part in PARTS:
        _check_part(document[part], count)
        document["examples"][part].whole()
    for name in ("name", "says"):
        document["regime"][name].text()
    for warning in document["warnings"].items():
        warning.text()
    carved = document.get("carved")
    for flags in carved.entries().values() if carved else ():
        for flag in flags.items(count):
            flag.flag()
    held_out = document.get("held_out")
    for name in ("per_teacher", "seen") if held_out else ():
        for share in document["held_out"][name].items(count):
            if share.value is not None:
                share.share()
    return document.value


def _check_part(part: fields.Field, teachers: int) -> None:
    for name in ("mean", "vote", "oracle", "oracle_differs"):
        part[name].share()
    part["per_teacher"].shares(teachers), part["k_of_n"].shares(teachers + 1)
    for name in ("calibration", "loss"):
        for number in (part[name]["mean"], *part[name]["per_teacher"].items(teachers)):
            number.number()
    for row in part["agreement"].items(teachers):
        row.shares(teachers)
    for name in ("mean", "oracle"):
        part["leave_one_out"][name].shares(teachers if teachers > 1 else 0)


def _accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.argmax(scores, axis=-1) == labels))


def _log_p(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The logarithm of each label's probability [teachers, examples], finite however small that is."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=-1))
    return shifted[:, np.arange(len(labels)), labels] - normaliser
