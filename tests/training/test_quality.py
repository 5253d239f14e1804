"""Figures of a finished network, against counts made by hand."""

import numpy as np
import pytest

from okd_tf.training import inference, quality

NAMES = ("cat", "dog", "cat")  # two classes may have one name
# Taken for: 0 0 1, 1 1, 0.
LOGITS = np.array([[2.0, 1, 0], [1, 0, 0], [0, 3, 0], [0, 1, 0], [1, 5, 2], [2, 2, 1]], np.float32)
LABELS = np.array([0, 0, 0, 1, 1, 2], np.int32)


def test_confusion_counts_true_classes_in_rows_and_predictions_in_columns():
    np.testing.assert_array_equal(quality.confusion(LOGITS, LABELS), [[2, 1, 0], [0, 2, 0], [1, 0, 0]])
    assert quality.per_class_accuracy(quality.confusion(LOGITS, LABELS)) == [2 / 3, 1.0, 0.0]


def test_a_class_without_examples_has_no_accuracy():
    assert quality.per_class_accuracy(np.array([[0, 0], [1, 3]])) == [None, 0.75]


def test_the_label_is_among_the_largest_and_of_tied_ones_the_first_counts():
    logits = np.array([[5.0, 4, 3, 2], [1, 1, 1, 1], [0, 0, 1, 0]])
    for labels, ranks in (([0, 0, 2], [0, 0, 0]), ([2, 3, 3], [2, 3, 3]), ([3, 1, 0], [3, 1, 1])):
        for count in (1, 2, 3, 4):
            expected = np.mean(np.array(ranks) < count)
            assert quality.top_accuracy(logits, np.array(labels), count) == pytest.approx(expected)


def test_the_first_of_the_largest_is_what_the_accuracy_counts(rng):
    logits, labels = rng.integers(0, 3, (200, 7)).astype(np.float32), rng.integers(0, 7, 200)
    assert quality.top_accuracy(logits, labels, 1) == inference.accuracy(logits, labels)
    assert quality.top_accuracy(logits, labels, 7) == 1.0


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_in_each_bin():
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.7, 0.3]])
    # Two of confidence 0.9, one of them right; one of 0.7, right.
    assert quality.calibration_error(probabilities, np.array([0, 0, 0])) == pytest.approx(
        (2 * abs(0.5 - 0.9) + abs(1 - 0.7)) / 3
    )


def test_a_confidence_at_the_end_of_a_bin_belongs_to_it():
    # 0.2 is three fifteenths; 0.21 is in the next bin: their gaps, of different signs, do not cancel.
    probabilities = np.array([[0.2, 0.16, 0.16, 0.16, 0.16, 0.16], [0.21, 0.16, 0.16, 0.16, 0.16, 0.15]])
    assert quality.calibration_error(probabilities, np.array([0, 1])) == pytest.approx((0.8 + 0.21) / 2)
    assert quality.calibration_error(np.eye(2), np.array([0, 0])) == pytest.approx(0.5)


def test_figures_are_json_and_have_the_top_five_of_more_than_five_classes_alone(rng):
    found = quality.figures(LOGITS, LABELS, NAMES)
    assert found["class_names"] == list(NAMES)
    assert found["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert set(found) == {"expected_calibration_error", *quality.OF_CLASSES, quality.RIGHT}
    right = quality.unpacked(found["right"])
    assert right.tolist() == [*(LOGITS.argmax(axis=1) == LABELS), *[False] * (-len(LABELS) % 8)]
    for classes in (5, 6):
        logits = rng.normal(size=(20, classes))
        found = quality.figures(logits, np.arange(20) % classes, "abcdef"[:classes])
        assert ("top5_accuracy" in found) == (classes > 5)


def test_the_hardest_classes_come_first_and_those_without_a_mistake_not_at_all():
    found = {"class_names": list("abcdef"), "per_class_accuracy": [0.5, None, 1.0, 0.25, 0.5, 0.75]}
    assert quality.hardest(found) == [("d", 0.25), ("a", 0.5), ("e", 0.5)]
    assert quality.hardest({"class_names": ["a"], "per_class_accuracy": [1.0]}) == []


def test_the_most_frequent_mistake_is_named_with_its_class_s_examples():
    found = {"class_names": ["a", "b", "c"], "confusion": [[9, 1, 0], [0, 5, 3], [3, 0, 0]]}
    assert quality.most_confused(found) == ("b", "c", 3, 8)
    assert quality.most_confused({"class_names": ["a", "b"], "confusion": [[2, 0], [0, 1]]}) is None
    assert quality.most_confused({"class_names": ["a", "b"], "confusion": [[0, 1], [1, 5]]}) is None


def test_classes_without_examples_are_named_and_count_in_no_mean():
    found = quality.figures(np.eye(3)[[0, 0, 0, 0, 2, 0]], np.array([0, 0, 0, 0, 2, 2]), ["a", "b", "c"])
    assert quality.unseen(found) == ["b"]
    assert quality.mean_over_classes(found) == (1 + 0.5) / 2
