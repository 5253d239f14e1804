"""--finals: what it says, and what it refuses in one line."""

import pytest

from okd_tf import errors, settings
from okd_tf.settings import finals


def test_finals_say_how_many_take_part_in_each_round_and_by_default_there_are_none():
    assert settings.Settings(workdir="a").rounds == ()
    assert settings.Settings(workdir="a", finals=("16", "4")).rounds == (16, 4)
    assert settings.Settings(workdir="a", finals=("6",), student_epochs=6).rounds == (6,)


@pytest.mark.parametrize("epochs", [16, 17, 60, 200, 1001])
def test_a_round_costs_at_most_one_student_and_more_than_half_of_one(epochs):
    for finalists in (2, 4, 16):
        cost = finalists * finals.epochs_of_each(epochs, finalists) / epochs
        assert 0.5 < cost <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"finals": ("many",)}, "'many' are not the numbers of finalists"),
        ({"finals": ("16", "4.5")}, "'16,4.5' are not the numbers of finalists"),
        ({"finals": ("-4",)}, "'-4' are not the numbers of finalists"),
        ({"finals": ("",)}, "'' are not the numbers of finalists"),
        ({"finals": ("4", "16")}, "4,16 does not fall"),
        ({"finals": ("4", "4")}, "4,4 does not fall"),
        ({"finals": ("4", "1")}, "4,1 ends with 1"),
        ({"finals": ("0",)}, "0 ends with 0"),
        ({"finals": ("64", "16", "4")}, "64,16,4 has 3 rounds"),
        (
            {"finals": ("4",), "arch": "arch.json"},
            "chooses among architectures of a search, and --arch names",
        ),
        (
            {"finals": ("4",), "strategy": "none"},
            "chooses among architectures of a search, and --strategy=none",
        ),
        (
            {"finals": ("4",), "student_epochs": 3},
            "4 finalists share one student's epochs, and --student_epochs",
        ),
    ],
)
def test_finals_that_cannot_be_held_are_refused_in_one_line(given, said):
    with pytest.raises(errors.UserError) as refusal:
        settings.Settings(workdir="a", **given)
    assert str(refusal.value).startswith(f"--finals: {said}")
    assert len(str(refusal.value).splitlines()) == 1
