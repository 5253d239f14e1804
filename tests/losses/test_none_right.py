"""What teaches where teachers are heard and none is right."""

import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors, settings
from okd_tf.losses import KD_LOSSES, SETTINGS, ce, distillation, dkd, mean

LN3 = math.log(3.0)
KL = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # (3/4, 1/4) against (1/2, 1/2)

gated = pytest.mark.parametrize(("name", "ungated"), [("oracle", mean.loss), ("oracle_dkd", dkd.loss)])


def test_the_names_are_those_of_the_setting_and_the_losses_those_that_the_setting_is_of():
    assert set(distillation.NONE_RIGHT) == set(settings.choices.NONE_RIGHT)
    assert settings.choices.NONE_RIGHT[0] == settings.default(settings.FIELDS["none_right"])
    takes = {name for name, taken in SETTINGS.items() if "none_right" in taken}
    assert takes == set(settings.choices.GATED_LOSSES)


@pytest.mark.parametrize(
    ("none_right", "expected"),
    [
        ("label", LABEL := math.log(2.0)),
        ("mean", MEAN := 0.7 * 2.0 * KL + 0.3 * LABEL),
        ("both", (LABEL + MEAN) / 2),
    ],
)
def test_value_by_hand(none_right, expected):
    # Both are wrong of class 1 and say (3/4, 1/4); the student is undecided. k = 2, c = 0.3.
    arguments = (tf.constant([1]), tf.zeros([1, 2]), tf.constant([[[LN3, 0.0], [LN3, 0.0]]]))
    value = KD_LOSSES["oracle"](*arguments, 1.0, 0.3, kd_weight=2.0, none_right=none_right)
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def _batch(rng, batch=60, teachers=3, classes=4):
    """Of the first half no teacher is right, of the second all are; for two of each half none is heard."""
    labels = rng.integers(0, classes, batch)
    teachers = rng.normal(size=(batch, teachers, classes))
    half = batch // 2
    teachers[np.arange(batch), :, labels] = np.where(np.arange(batch) < half, -9.0, 9.0)[:, np.newaxis]
    heard = rng.integers(0, 2, teachers.shape[:2]).astype(bool)
    heard[:, 0] = True
    heard[[0, 1, half, half + 1]] = False
    tensors = (tf.constant(part) for part in (labels, rng.normal(size=(batch, classes)), teachers))
    return *tensors, tf.constant(heard)


@gated
@pytest.mark.parametrize("none_right", distillation.NONE_RIGHT)
def test_all_that_are_heard_teach_what_none_gets_right_and_else_it_changes_nothing(
    name, ungated, none_right, rng
):
    *tensors, heard = _batch(rng)
    arguments = (*tensors, 3.0, 0.2)
    value = KD_LOSSES[name](*arguments, heard=heard, none_right=none_right).numpy()
    everyone, label = ungated(*arguments, heard=heard).numpy(), ce.loss(*tensors[:2]).numpy()
    of_wrong = {"label": label, "mean": everyone, "both": (label + everyone) / 2}[none_right]
    wrong = np.arange(len(value)) < len(value) // 2
    expected = np.where(~np.any(heard, axis=1), label, np.where(wrong, of_wrong, everyone))
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_another_name_is_refused():
    arguments = (tf.constant([1]), tf.zeros([1, 2]), tf.zeros([1, 2, 2]))
    with pytest.raises(errors.UserError, match="none_right: unknown name 'labels'; did you mean label"):
        KD_LOSSES["oracle"](*arguments, none_right="labels")
