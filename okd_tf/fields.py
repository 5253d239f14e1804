"""Typed reading of JSON documents, with errors that name the file and the place in it.

A `Field` is a value and its place in the document. Its methods return the value as the requested type, or
raise an error such as:

    runs/a/search/arch.json: add_ons[1].op: expected text, got 3; mend it, or search again

so that a reader only lists the types it expects and needs no other checks.
"""

import dataclasses
import json
from collections.abc import Collection
from typing import Any

from okd_tf import errors, files, json_file

MOST = 2**63 - 1  # of a whole number: int64
LARGEST = 1e30  # of any other: float32 can compute with it
WRITTEN_AGAIN = json_file.WRITTEN_AGAIN


@dataclasses.dataclass(frozen=True)
class Field:
    """A value of a JSON document. All methods raise UserError for a value of another type or range.

    Attributes:
        path: the document's file.
        value: the value as `json` returns it.
        name: its place, as "add_ons[1].op"; "" is the whole document.
        mend: what the user can do about a wrong value, as the end of the error message.
    """

    path: files.PathLike
    value: Any
    name: str = ""
    mend: str = WRITTEN_AGAIN

    def __getitem__(self, key: str) -> "Field":
        """Return a required field of an object; raise UserError if it is missing."""
        found = self.get(key)
        if found is None:
            raise self.refusal(f"missing field {key}")
        return found

    def get(self, key: str) -> "Field | None":
        """Return a field of an object, or None if it is missing."""
        return self.entries().get(key)

    def entries(self) -> dict[str, "Field"]:
        """Return all fields of an object, by key."""
        if not isinstance(self.value, dict):
            raise self.unexpected("an object")
        dot = f"{self.name}." if self.name else ""
        return {key: self._at(f"{dot}{key}", value) for key, value in self.value.items()}

    def only(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, "Field"]:
        """Return the fields of an object; raise UserError unless it has all `required` and no unknown ones.

        Keys in `optional` may be missing.
        """
        found = self.entries()
        for problem, keys in (
            ("missing", set(required) - set(found)),
            ("unknown", set(found) - {*required, *optional}),
        ):
            if keys:
                raise self.refusal(f"{problem} field {_short(', '.join(sorted(keys)))}")
        return found

    def items(self, count: int | None = None) -> list["Field"]:
        """Return the elements of a list; with `count`, raise UserError for another number of elements."""
        if not isinstance(self.value, list):
            raise self.unexpected("a list")
        if count is not None and len(self.value) != count:
            raise self.refusal(f"expected {count} elements, got {len(self.value)}")
        return [self._at(f"{self.name}[{index}]", value) for index, value in enumerate(self.value)]

    def text(self, choices: Collection[str] = ()) -> str:
        """Return a text; with `choices`, raise UserError if it is none of them."""
        if not isinstance(self.value, str) or (choices and self.value not in choices):
            raise self.unexpected(" or ".join(f'"{choice}"' for choice in choices) or "text")
        return self.value

    def label(self) -> str:
        """Return a name: a text of one line that is not empty."""
        if not isinstance(self.value, str) or not self.value or errors.one_line(self.value) != self.value:
            raise self.unexpected("a name of one line")
        return self.value

    def flag(self) -> bool:
        """Return a boolean."""
        if not isinstance(self.value, bool):
            raise self.unexpected("true or false")
        return self.value

    def whole(self, least: int = 0, most: int = MOST) -> int:
        """Return an integer in [least, most]."""
        if type(self.value) is not int or not least <= self.value <= most:
            bound = f" up to {most}" if isinstance(self.value, int) and self.value > most else ""
            raise self.unexpected(f"an integer >= {least}{bound}")
        return self.value

    def number(self, least: float = -LARGEST, most: float = LARGEST) -> float:
        """Return a number in [least, most], int or float as in the JSON: it is written back unchanged."""
        if type(self.value) not in (int, float) or not least <= self.value <= most:
            bounds = "" if (least, most) == (-LARGEST, LARGEST) else f" from {least:g} to {most:g}"
            raise self.unexpected(f"a finite number{bounds}")
        return self.value

    def share(self) -> float:
        """Return a number in [0, 1]."""
        return self.number(0, 1)

    def shares(self, count: int | None = None) -> list[float]:
        """Return a list of numbers in [0, 1]."""
        return [item.share() for item in self.items(count)]

    def wholes(self, count: int | None = None) -> list[int]:
        """Return a list of integers >= 0."""
        # A matrix of them can be large, and one that is as it should be needs no fields.
        found: list[Any] = self.value if isinstance(self.value, list) else [None]
        if count in (None, len(found)) and all(type(one) is int and 0 <= one <= MOST for one in found):
            return found
        return [item.whole() for item in self.items(count)]

    def refusal(self, why: str) -> errors.UserError:
        """Return the error that this value is wrong, with the reason `why`."""
        return errors.UserError(
            f"{self.path}: {_short(self.name, 120) or 'the whole file'}: {why}; {self.mend}"
        )

    def unexpected(self, expected: str) -> errors.UserError:
        """Return the error that something else was expected."""
        return self.refusal(f"expected {expected}, got {_short(json.dumps(self.value, ensure_ascii=False))}")

    def _at(self, name: str, value: Any) -> "Field":
        return dataclasses.replace(self, name=name, value=value)


def read(path: files.PathLike, mend: str = WRITTEN_AGAIN) -> Field:
    """Return the document of a JSON file as a `Field`.

    Args:
        path: the file.
        mend: what the user can do about a wrong value.

    Raises:
        UserError: the file is missing or cannot be read; names the file.
    """
    return Field(path, json_file.read(path, mend), mend=mend)


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
