"""Who is right: what each teacher, their mean, their vote and their oracle know of a split."""

from typing import Any

import numpy as np


def diagnose(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracies of an ensemble on one split.

    Args:
        logits: [teachers, examples, classes].
        labels: int [examples].

    Returns:
        per_teacher: accuracy of each.
        mean: of the mean of their probabilities.
        vote: of the class most of them predict; among tied classes, the one whose voters are surest
            (largest sum of probabilities).
        oracle: share of examples that at least one teacher gets right, the most an oracle can reach.
        k_of_n: [teachers + 1], share of examples that exactly k teachers get right.
    """
    probabilities = _softmax(logits)
    predictions = np.argmax(logits, axis=-1)
    right = predictions == labels
    teachers, _, classes = logits.shape
    mean = np.argmax(probabilities.mean(axis=0), axis=-1)
    votes = (predictions[..., np.newaxis] == np.arange(classes)).sum(axis=0)
    # Probabilities sum to less than one vote, so they only break ties.
    vote = np.argmax(votes + probabilities.sum(axis=0) / (teachers + 1), axis=-1)
    num_right = right.sum(axis=0)
    return {
        "per_teacher": [float(share) for share in right.mean(axis=1)],
        "mean": float(np.mean(mean == labels)),
        "vote": float(np.mean(vote == labels)),
        "oracle": float(np.mean(num_right > 0)),
        "k_of_n": [float(np.mean(num_right == k)) for k in range(teachers + 1)],
    }


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
