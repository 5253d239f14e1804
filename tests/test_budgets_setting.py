"""--max_params: one budget or several, and what is refused in one line."""

import pytest

from okd_tf import errors, settings
from okd_tf.settings import budgets


def test_one_budget_is_as_it_was_and_several_rise():
    assert settings.Settings(workdir="a").budgets == (0,)
    for given in (60000, "60000", ("60000",)):
        chosen = settings.Settings(workdir="a", max_params=given if given != "60000" else ("60000",))
        assert chosen.budgets == (60000,)
        assert settings.text(chosen.max_params) == "60000"
        assert budgets.shown(chosen.max_params) == 60000
    chosen = settings.Settings(workdir="a", max_params=("60000", "90000", "140000"))
    assert chosen.budgets == (60000, 90000, 140000)
    assert budgets.shown(chosen.max_params) == settings.text(chosen.max_params) == "60000,90000,140000"
    assert "--max_params=0\n" in settings.flagfile(settings.Settings(workdir="a"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_params": -1}, "'-1' is not a number of parameters"),
        ({"max_params": 0.5}, "'0.5' is not a number of parameters"),
        ({"max_params": ("many",)}, "'many' is not a number of parameters"),
        ({"max_params": ()}, "'' is not a number of parameters"),
        ({"max_params": (str(2**63),)}, f"{2**63} is too large"),
        ({"max_params": ("90000", "60000")}, "90000,60000 are several budgets that do not rise"),
        ({"max_params": ("60000", "60000")}, "60000,60000 are several budgets that do not rise"),
        ({"max_params": ("0", "60000")}, "0,60000 are several budgets that do not rise"),
        (
            {"max_params": ("1", "2"), "arch": "arch.json"},
            "1,2 are several budgets of one search, and --arch names",
        ),
        (
            {"max_params": ("1", "2"), "strategy": "none"},
            "1,2 are several budgets of one search, and --strategy=none gives",
        ),
    ],
)
def test_budgets_that_cannot_be_are_refused_in_one_line(given, said):
    with pytest.raises(errors.UserError) as refusal:
        settings.Settings(workdir="a", **given)
    assert str(refusal.value).startswith(f"--max_params: {said}")
    assert len(str(refusal.value).splitlines()) == 1
