"""Doubts about teachers: both ways, on predictions drawn with a known accuracy."""

import numpy as np
import pytest
from scipy import optimize, stats

from okd_tf.teachers import doubts


def _predictions(rng, labels, classes, accuracy):
    """Right with this probability, else any class."""
    luck = (accuracy - 1 / classes) / (1 - 1 / classes)
    return np.where(rng.random(len(labels)) < luck, labels, rng.integers(0, classes, len(labels)))


def _logits(predictions, classes):
    return np.stack([np.eye(classes)[each] * 4.0 for each in predictions])


@pytest.mark.parametrize(("classes", "examples"), [(2, 400), (10, 143), (100, 1000)])
@pytest.mark.parametrize("accuracy", [0.85, 0.95])
def test_another_order_of_classes_is_found(rng, classes, examples, accuracy):
    labels = rng.integers(0, classes, examples)
    own = _predictions(rng, labels, classes, accuracy)
    order = np.roll(np.arange(classes), 1)
    found = doubts.in_another_order(order[own], labels, classes)
    # What four fifths of the labels teach of the order is enough for most of it.
    assert found == pytest.approx(accuracy, abs=0.15)
    np.testing.assert_array_equal(doubts.best_order(order[own], labels, classes)[order], np.arange(classes))
    (text,) = doubts.doubts(_logits([order[own]], classes), labels)
    assert text.startswith(f"teacher 1 is right on {100 * np.mean(order[own] == labels):.1f} % of the")
    assert f"and on {100 * found:.1f} % with its outputs in another order" in text
    assert "class_names" in text


def test_another_order_of_a_weak_teacher_of_many_classes_is_found(rng):
    labels = rng.integers(0, 100, 1000)
    own = _predictions(rng, labels, 100, 0.3)
    assert doubts.in_another_order((own + 1) % 100, labels, 100) > 0.15


def test_a_network_that_only_tells_two_groups_of_classes_apart_is_not_accused(rng):
    # As untrained ones do: it says 7 for the first five classes of ten, and 2 for the others.
    labels = rng.integers(0, 10, 1000)
    own = np.where(labels < 5, 7, 2)
    fitted = doubts.best_order(own, labels, 10)[own] == labels
    assert fitted.mean() > 0.19
    assert doubts.in_another_order(own, labels, 10) == 0


@pytest.mark.parametrize(("classes", "examples"), [(2, 60), (10, 143), (100, 1000), (100, 150)])
@pytest.mark.parametrize("accuracy", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_no_honest_teacher_is_accused_of_another_order(rng, classes, examples, accuracy):
    for _ in range(10):
        labels = rng.integers(0, classes, examples)
        own = _predictions(rng, labels, classes, max(accuracy, 1 / classes))
        assert doubts.in_another_order(own, labels, classes) == 0


def test_an_order_fitted_to_few_examples_looks_better_than_it_is(rng):
    # Why it is counted on examples it was not fitted to: pure chance, 150 examples of 100 classes.
    labels, own = rng.integers(0, 100, (2, 150))
    fitted = np.mean(doubts.best_order(own, labels, 100)[own] == labels)
    assert fitted > 0.3
    assert doubts.in_another_order(own, labels, 100) == 0


def test_a_weak_teacher_that_takes_one_class_for_another_is_not_accused(rng):
    labels = rng.integers(0, 10, 500)
    own = np.where(labels == 3, 5, np.where(labels == 5, 3, labels))
    own = np.where(rng.random(500) < 0.5, own, labels)
    assert doubts.in_another_order(own, labels, 10) == 0


def test_the_best_order_gets_most_right_of_all_and_keeps_ties_in_place(rng):
    labels, own = rng.integers(0, 4, (2, 40))
    order = doubts.best_order(own, labels, 4)
    assert sorted(order) == [0, 1, 2, 3]
    together = np.histogram2d(own, labels, bins=[range(5)] * 2)[0]
    rows, columns = optimize.linear_sum_assignment(-together)
    assert np.sum(order[own] == labels) == together[rows, columns].sum()
    np.testing.assert_array_equal(doubts.best_order(own[:0], labels[:0], 4), np.arange(4))


@pytest.mark.parametrize(("right", "chance"), [(0, True), (15, True), (18, True), (19, False), (60, False)])
def test_chance_is_an_exact_test_where_classes_are_of_one_size(right, chance):
    # Of 100 labels 10 are of each class: of luck, 18 or more are right with probability 0.01001.
    labels = np.repeat(np.arange(10), 10)
    own = np.where(np.arange(100) < right, labels, (labels + 1) % 10)
    assert (stats.binom.sf(right - 1, 100, 0.1) > 0.01) == chance
    assert doubts.at_chance(own, labels) == chance


def test_naming_the_most_frequent_class_is_chance_however_often_it_is_right():
    labels = np.array([0] * 90 + [1] * 10)
    logits = _logits([np.zeros(100, int), labels], 2)
    (text,) = doubts.doubts(logits, labels)
    assert text.startswith("teacher 1 is right on 90.0 % of the validation images, no better than its ans")
    assert "dealt out at random (90.0 %)" in text
    assert doubts.at_chance(np.zeros(90, int), np.zeros(90, int))


def test_a_teacher_of_balanced_classes_is_not_doubted_where_one_class_is_most_of_the_images(rng):
    labels = np.repeat([0, 1, 2], [415, 70, 15])
    right = np.arange(500) % 5 < 3
    knows = np.where(right, labels, (labels + 1 + np.arange(500) % 2) % 3)
    assert np.mean(knows == labels) == 0.6
    assert not doubts.at_chance(knows, labels)
    guesses = np.arange(500) % 3
    assert doubts.luck(guesses, labels) == pytest.approx((167 * 415 + 167 * 70 + 166 * 15) / 500**2)
    assert doubts.at_chance(guesses, labels)


def test_an_honest_weak_teacher_is_not_doubted(rng):
    labels = rng.integers(0, 100, 2000)
    predictions = [_predictions(rng, labels, 100, accuracy) for accuracy in (0.04, 0.2, 0.9)]
    assert doubts.doubts(_logits(predictions, 100), labels) == []


def test_so_few_images_that_all_right_is_luck_accuse_nobody():
    labels = np.array([0, 1, 0, 1])
    (text,) = doubts.doubts(_logits([labels, 1 - labels], 2), labels)
    assert text.startswith("4 validation images are too few")
    # Seven right of seven are luck with probability 1/128.
    labels = np.arange(8) % 2
    assert doubts.doubts(_logits([labels], 2), labels) == []
