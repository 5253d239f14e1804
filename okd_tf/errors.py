"""Errors that are the user's to mend: one line saying what was expected, what came, and what to do."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

NAMED = 3  # how many of many are named in a line


class UserError(Exception):
    """Something the user gave cannot be used; the message is one line and says what to do."""

    def __init__(self, message: object):
        """Takes the message; what would end its line, as from a file it quotes, is written as an escape."""
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """A text without line ends, control characters and what no encoding has: these as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def some(names: Sequence[str], most: int = NAMED) -> str:
    """Of many names the first, and how many more there are: "cat, dog, emu and 2 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class LostWorkerError(UserError):
    """Another worker of a training on many hosts is gone; the message says what to do."""


def unknown(what: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that is in no registry: the nearest valid names first, then all of them."""
    valid = sorted(valid)
    nearest = difflib.get_close_matches(name, valid, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return UserError(f"{what}: unknown name '{name}'; {hint}valid: {', '.join(valid)}")
