"""JSON files: written atomically, read with errors that name the file and what is wrong in it."""

import json
import math
import pathlib
import re
from typing import Any

from okd_tf import errors, files

DEEPEST = 40  # nesting of JSON that is read
WRITTEN_AGAIN = "delete it, and what wrote it runs again"

# An indented list of numbers and nothing else; JSON has no line ends in a text that could look like one.
_NUMBER = r"(?:-?\d[-+.\deE]*|null|true|false)"
_NUMBERS = re.compile(rf"\[\n *({_NUMBER}(?:,\n *{_NUMBER})*)\n *\]")


def write(path: files.PathLike, value: Any) -> None:
    """Write JSON atomically, with keys in the given order and a newline at the end.

    A list of numbers is written on one line, so that a matrix has one line for each row.
    """
    text = json.dumps(value, indent=2, allow_nan=False)
    files.write_text(path, _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


def read(path: files.PathLike, mend: str = WRITTEN_AGAIN) -> Any:
    """Return the content of a JSON file that `write` can write back: its numbers are finite.

    Args:
        path: the file.
        mend: what the user can do about an invalid file.

    Raises:
        UserError: the file is missing, cut short, not JSON, nested deeper than `DEEPEST`, or has a key twice;
            names the file.
    """
    path = pathlib.Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError:
        raise errors.UserError(f"{path}: no such file") from None
    except OSError as error:
        raise errors.UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise errors.UserError(f"{path}: not valid JSON ({error}), perhaps cut short; {mend}") from None
    except RecursionError:
        raise _too_deep(path, mend) from None
    _refuse_unwritable_values(path, value, mend)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice[:60]}' is there twice")
    return found


def _refuse_unwritable_values(path: pathlib.Path, document: Any, mend: str) -> None:
    """Raise UserError with the place of a number that is not finite, a lone surrogate, or deep nesting."""
    waiting: list[tuple[str, int, Any]] = [("", 0, document)]
    while waiting:
        name, depth, value = waiting.pop()
        wrong = ""
        if isinstance(value, float) and not math.isfinite(value):
            wrong = f"expected a finite number, got {value}"
        elif isinstance(value, str) and not _is_encodable(value):
            wrong = "expected text, got half of a character"
        elif isinstance(value, dict):
            dot = f"{name}." if name else ""
            waiting.extend((f"{dot}{key}", depth + 1, one) for key, one in value.items())
            wrong = "" if all(map(_is_encodable, value)) else "a key is half of a character"
        elif isinstance(value, list):
            waiting.extend((f"{name}[{index}]", depth + 1, one) for index, one in enumerate(value))
        if wrong:
            raise errors.UserError(f"{path}: {name[:120] or 'the whole file'}: {wrong}; {mend}")
        if depth >= DEEPEST and isinstance(value, dict | list):
            raise _too_deep(path, mend)


def _is_encodable(text: str) -> bool:
    """Return whether UTF-8 can encode the text: JSON's escapes allow lone surrogates, UTF-8 does not."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _too_deep(path: pathlib.Path, mend: str) -> errors.UserError:
    return errors.UserError(f"{path}: nested deeper than {DEEPEST} levels, as nothing here is; {mend}")
