"""Errors that are the user's to mend: one line saying what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave cannot be used; the message is one line and says what to do."""


class LostWorkerError(UserError):
    """Another worker of a training on many hosts is gone; the message says what to do."""


def unknown(what: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that is in no registry: the nearest valid names first, then all of them."""
    valid = sorted(valid)
    nearest = difflib.get_close_matches(name, valid, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return UserError(f"{what}: unknown name '{name}'; {hint}valid: {', '.join(valid)}")
