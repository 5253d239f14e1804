"""Who is right, on logits made by hand."""

import collections

import numpy as np
import pytest

from okd_tf.teachers import diagnosis

# [teachers, examples, classes]. Example 0: all say 0. Example 1: two say 1 faintly, one says 2 surely.
# Example 2: each says another class, the third most surely. Example 3: all say 1.
LOGITS = np.array(
    [
        [[5.0, 0, 0], [0, 0.1, 0], [0.1, 0, 0], [0, 5, 0]],
        [[5.0, 0, 0], [0, 0.1, 0], [0, 0.1, 0], [0, 5, 0]],
        [[5.0, 0, 0], [0, 0, 9.0], [0, 0, 5.0], [0, 5, 0]],
    ]
)
LABELS = np.array([0, 1, 2, 0])


def test_hand_made_ensemble_is_diagnosed_as_by_hand():
    found = diagnosis.diagnose(LOGITS, LABELS)
    assert found == {
        "per_teacher": [0.5, 0.5, 0.5],
        # Example 1: the sure one outweighs the two faint ones.
        "mean": 0.5,
        # Example 1: two of three. Example 2: a tie, and the surest voter has it.
        "vote": 0.75,
        "oracle": 0.75,
        "k_of_n": [0.25, 0.25, 0.25, 0.25],
    }


def _slowly(logits, labels):
    """The same figures, one example at a time."""
    teachers, examples, classes = logits.shape
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    mean = vote = oracle = 0
    num_right = collections.Counter()
    for example in range(examples):
        predictions = [int(np.argmax(logits[teacher, example])) for teacher in range(teachers)]
        mean += int(np.argmax(sum(probabilities[:, example])) == labels[example])
        votes = collections.Counter(predictions)
        tied = [label for label in range(classes) if votes[label] == max(votes.values())]
        vote += int(max(tied, key=lambda label: probabilities[:, example, label].sum()) == labels[example])
        right = predictions.count(labels[example])
        oracle += right > 0
        num_right[right] += 1
    return {
        "mean": mean / examples,
        "vote": vote / examples,
        "oracle": oracle / examples,
        "k_of_n": [num_right[k] / examples for k in range(teachers + 1)],
    }


@pytest.mark.parametrize("teachers", [1, 2, 5])
def test_figures_are_those_of_one_example_at_a_time(rng, teachers):
    labels = rng.integers(0, 4, 60)
    logits = rng.normal(size=(teachers, 60, 4)) * 2
    logits[:, np.arange(60), labels] += 1
    found = diagnosis.diagnose(logits, labels)
    for name, expected in _slowly(logits, labels).items():
        assert found[name] == pytest.approx(expected), name
    assert sum(found["k_of_n"]) == pytest.approx(1)
    assert found["oracle"] == pytest.approx(1 - found["k_of_n"][0])
    assert max(found["per_teacher"]) <= found["oracle"]
    shares = sum(k * share for k, share in enumerate(found["k_of_n"]))
    assert np.mean(found["per_teacher"]) == pytest.approx(shares / teachers)


def test_huge_logits_do_not_overflow():
    found = diagnosis.diagnose(LOGITS * 1e4, LABELS)
    assert found["oracle"] == 0.75
    assert np.isfinite(found["mean"])
