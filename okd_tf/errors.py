"""Errors that the user can fix: one line with what was expected, what was given, and what to do."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

NAMED = 3  # how many of many are named in a line


class UserError(Exception):
    """An error that the user can fix; the message is one line and says what to do."""

    def __init__(self, message: object):
        """Create the error; line ends in the message, as from a quoted file, are written as escapes."""
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """Return the text with line ends, control characters and lone surrogates written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def some(names: Sequence[str], most: int = NAMED) -> str:
    """Return the first `most` names and the number of the others: "cat, dog, emu and 2 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class LostWorkerError(UserError):
    """Loss of another worker of a training on several hosts; the message says what to do."""


def unknown(what: str, name: str, valid: Iterable[str]) -> UserError:
    """Return the error for a name that is in no registry: the nearest valid names first, then all of them."""
    valid = sorted(valid)
    nearest = difflib.get_close_matches(name, valid, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return UserError(f"{what}: unknown name '{name}'; {hint}valid: {', '.join(valid)}")
