"""Finals: how many architectures of a search are trained in each round, and for how long.

A round of n finalists gives each 1/n of the student's epochs, with a whole learning-rate schedule of its own,
so a round costs at most one training of the student (successive halving: Jamieson and Talwalkar, 2016).
"""

from typing import Any

from okd_tf import errors
from okd_tf.settings import choices

MOST_ROUNDS = 2  # so that finals cost at most two trainings of the student
EXAMPLE = "16,4"


def rounds(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Return the number of finalists in each round, from --finals.

    Raises:
        UserError: not falling whole numbers of at least 2, or too many of them.
    """
    given = ",".join(texts)
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        raise errors.UserError(
            f"--finals: '{given[:60]}' are not the numbers of finalists of each round; give them as {EXAMPLE}"
        )
    found = tuple(map(int, texts))
    if list(found) != sorted(set(found), reverse=True):
        raise errors.UserError(
            f"--finals: {given[:60]} does not fall from round to round; give such numbers, as {EXAMPLE}"
        )
    if found and found[-1] < 2:
        raise errors.UserError(
            f"--finals: {given[:60]} ends with {found[-1]}, and fewer than two have nothing to compare; end "
            "with at least 2 (the best of them is trained as the student)"
        )
    if len(found) > MOST_ROUNDS:
        raise errors.UserError(
            f"--finals: {given[:60]} has {len(found)} rounds, each as long as one training of the student; "
            f"give at most {MOST_ROUNDS}"
        )
    return found


def epochs_of_each(student_epochs: int, finalists: int) -> int:
    """Return the number of epochs that each finalist of a round trains; at least 1."""
    return max(1, student_epochs // finalists)


def check(settings: Any) -> None:
    """Raise UserError, naming --finals, if the other `Settings` leave no finalists to choose from."""
    found = rounds(settings.finals)
    if not found:
        return
    if settings.arch:
        raise errors.UserError(
            "--finals: chooses among architectures of a search, and --arch names the one to train; leave one "
            "out"
        )
    if settings.strategy == choices.NO_SEARCH:
        raise errors.UserError(
            f"--finals: chooses among architectures of a search, and --strategy={choices.NO_SEARCH} has "
            "none; leave one of the two out"
        )
    epochs = settings.student_epochs
    if epochs != choices.OPEN["student_epochs"] and found[0] > epochs:
        raise errors.UserError(
            f"--finals: {found[0]} finalists share one student's epochs, and --student_epochs={epochs} "
            f"leaves less than one to each; name at most {epochs}, or raise --student_epochs"
        )
