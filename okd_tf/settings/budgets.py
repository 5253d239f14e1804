"""--max_params: one parameter budget, or several from one search."""

from typing import Any

from okd_tf import errors
from okd_tf.settings import choices, numbers

UNBOUNDED = ("0",)
EXAMPLE = "60000,90000,140000"


def normal(given: Any) -> tuple[str, ...]:
    """Return the setting in its normal form, in plain digits; from Python, one budget may be a number."""
    return (str(given),) if isinstance(given, int | float) else tuple(map(numbers.plain, given))


def parse(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Return the budgets of the flag's texts, rising; (0,) is no bound.

    Raises:
        UserError: not whole numbers, too large, none, or not rising.
    """
    given = ",".join(texts)[:60]
    if not texts or not all(text.isascii() and text.isdigit() and len(text) < 20 for text in texts):
        raise errors.UserError(
            f"--max_params: '{given}' is not a number of parameters, at least 0, or several of them; give "
            f"one, or some as {EXAMPLE}"
        )
    found = tuple(map(int, texts))
    if max(found) > choices.MOST:
        raise errors.UserError(f"--max_params: {given} is too large; at most {choices.MOST}")
    if len(found) > 1 and (list(found) != sorted(set(found)) or not found[0]):
        raise errors.UserError(
            f"--max_params: {given} are several budgets that do not rise from more than 0; give them as "
            f"{EXAMPLE}"
        )
    return found


def shown(texts: tuple[str, ...]) -> int | str:
    """Return the setting as a JSON value for results: a number if there is one budget."""
    return int(texts[0]) if len(texts) == 1 and texts[0].isdecimal() else ",".join(texts)


def check(settings: Any) -> None:
    """Raise UserError, naming --max_params, if the other `Settings` make several budgets useless."""
    if len(parse(settings.max_params)) == 1:
        return
    given = ",".join(settings.max_params)[:60]
    for flag, why in (
        ("--arch", "names the one architecture to train" if settings.arch else ""),
        (
            f"--strategy={choices.NO_SEARCH}",
            "gives the bare backbone whatever the budget" if settings.strategy == choices.NO_SEARCH else "",
        ),
    ):
        if why:
            raise errors.UserError(
                f"--max_params: {given} are several budgets of one search, and {flag} {why}; give one budget"
            )
