"""Which regime, from made-up figures on both sides of each border."""

import dataclasses
import re

import numpy as np
import pytest

from okd_tf import settings
from okd_tf.teachers import diagnosis, regime


def _part(right):
    """The diagnosis of teachers that are right on these examples: bool [teachers, examples], of class 0."""
    right = np.asarray(right, bool)
    logits = np.stack([right, ~right], axis=-1) * 3.0
    return diagnosis.diagnose(logits, np.zeros(right.shape[1], int))


def _shares(none, some, everyone, teachers=2):
    """Teachers of which on so many of 100 examples none, the first alone, or all are right."""
    first = [0] * none + [1] * (some + everyone)
    other = [0] * (none + some) + [1] * everyone
    assert len(first) == 100
    return _part([first, *[other] * (teachers - 1)])


@pytest.mark.parametrize(
    ("shares", "name"),
    [
        # Accuracies (some + everyone + everyone) / 2: 59.5 and 60 %.
        ((25, 31, 44), "underfit"),
        ((25, 30, 45), "disagreeing"),
        ((30, 0, 70), "underfit"),
        ((29, 1, 70), "disagreeing"),
        ((0, 6, 94), "disagreeing"),
        ((0, 5, 95), "saturated"),
        ((5, 0, 95), "saturated"),
    ],
)
def test_the_regime_changes_at_its_borders(shares, name):
    assert regime.of(_shares(*shares)).name == name


@pytest.mark.parametrize(
    ("right", "name"), [(70, "underfit"), (71, "single"), (94, "single"), (95, "saturated")]
)
def test_one_teacher_is_gated_alone(right, name):
    found = regime.of(_part([[1] * right + [0] * (100 - right)]))
    assert found.name == name
    assert f"{right}.0 %" in found.says
    assert not re.search(r"(The|All|some) teachers", found.says)


def test_the_measured_cases_fall_on_their_sides():
    # CIFAR-100 at 16x16 pixels: teachers at 51 % with none right on 32 %, and at 76 % with all right on 61 %.
    assert regime.of(_shares(32, 34, 34)).name == "underfit"
    assert regime.of(_shares(9, 30, 61)).name == "disagreeing"


def test_words_give_the_shares_on_which_the_gate_acts():
    says = regime.of(_shares(10, 15, 75, teachers=3)).says
    assert "gate acts on 25.0 % of the augmented training images" in says
    assert "on 15.0 % only some teachers are right" in says
    assert "on 10.0 % none is" in says


def test_where_the_oracle_cannot_help_the_words_say_what_then():
    says = regime.of(_shares(0, 2, 98)).says
    for word in ("98.0 %", "--train_loss=mean", "--teacher_epochs", "held out", "--teacher_folds"):
        assert word in says


def test_words_are_sentences_on_one_line_and_of_values_that_flags_take():
    for shares in ((40, 10, 50), (0, 0, 100), (10, 10, 80)):
        found = regime.of(_shares(*shares))
        assert dataclasses.asdict(found) == {"name": found.name, "says": found.says}
        assert "\n" not in found.says
        assert found.says.endswith(".")
        for loss in re.findall(r"--train_loss=(\w+)", found.says):
            assert loss in settings.choices.TRAIN_LOSSES


def test_teachers_that_underfit_after_few_steps_are_said_to_have_had_few():
    found = regime.of(_shares(40, 10, 50), steps=60)
    assert found.name == "underfit"
    assert found.says.endswith(
        "Each was trained 60 steps: train longer (--teacher_epochs) or lower --batch_size."
    )
    assert "temperature" not in found.says
    # After enough of them, or where nobody knows, it is something else; and those that fit had enough.
    for shares, steps in (((40, 10, 50), 1500), ((40, 10, 50), 0), ((10, 15, 75), 60)):
        assert "trained" not in regime.of(_shares(*shares), steps).says
    single = regime.of(_part([[1] * 40 + [0] * 60]), steps=60).says
    assert single.endswith("It was trained 60 steps: train longer (--teacher_epochs) or lower --batch_size.")
