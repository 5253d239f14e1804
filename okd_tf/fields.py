"""Reading typed values out of a JSON document: what is wrong is said with its file and its place in it.

A `Field` is a value with where it stands. Asked for what it must be, it gives that, or raises such an error:

    runs/a/search/arch.json: add_ons[1].op: expected text, got 3; mend it, or search again

so a reader is a list of what it takes, and needs no checks beside.
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
    """A value of a JSON document.

    Attributes:
        path: the document's file.
        value: what JSON gave.
        name: where it stands, as "add_ons[1].op"; "" is the whole document.
        mend: what to do about a wrong one.
    """

    path: files.PathLike
    value: Any
    name: str = ""
    mend: str = WRITTEN_AGAIN

    def __getitem__(self, key: str) -> "Field":
        """The field of an object that must be there."""
        found = self.get(key)
        if found is None:
            raise self.refusal(f"missing field {key}")
        return found

    def get(self, key: str) -> "Field | None":
        """The field of an object, or None if it is not there."""
        return self.entries().get(key)

    def entries(self) -> dict[str, "Field"]:
        """All fields of an object, by key."""
        if not isinstance(self.value, dict):
            raise self.unexpected("an object")
        dot = f"{self.name}." if self.name else ""
        return {key: self._at(f"{dot}{key}", value) for key, value in self.value.items()}

    def only(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, "Field"]:
        """The fields of an object that has all of `required`, and none but these and `optional`."""
        found = self.entries()
        for problem, keys in (
            ("missing", set(required) - set(found)),
            ("unknown", set(found) - {*required, *optional}),
        ):
            if keys:
                raise self.refusal(f"{problem} field {_short(', '.join(sorted(keys)))}")
        return found

    def items(self, count: int | None = None) -> list["Field"]:
        """The elements of a list; so many, if `count` says how many there must be."""
        if not isinstance(self.value, list):
            raise self.unexpected("a list")
        if count is not None and len(self.value) != count:
            raise self.refusal(f"expected {count} elements, got {len(self.value)}")
        return [self._at(f"{self.name}[{index}]", value) for index, value in enumerate(self.value)]

    def text(self, choices: Collection[str] = ()) -> str:
        """A text; one of `choices`, if there are any."""
        if not isinstance(self.value, str) or (choices and self.value not in choices):
            raise self.unexpected(" or ".join(f'"{choice}"' for choice in choices) or "text")
        return self.value

    def label(self) -> str:
        """A name: a text of one line that is not empty."""
        if not isinstance(self.value, str) or not self.value or errors.one_line(self.value) != self.value:
            raise self.unexpected("a name of one line")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.unexpected("true or false")
        return self.value

    def whole(self, least: int = 0, most: int = MOST) -> int:
        """A whole number in [least, most]."""
        if type(self.value) is not int or not least <= self.value <= most:
            bound = f" up to {most}" if isinstance(self.value, int) and self.value > most else ""
            raise self.unexpected(f"an integer >= {least}{bound}")
        return self.value

    def number(self, least: float = -LARGEST, most: float = LARGEST) -> float:
        """A number in [least, most], whole or not; as JSON has it, so that it is written as it was read."""
        if type(self.value) not in (int, float) or not least <= self.value <= most:
            bounds = "" if (least, most) == (-LARGEST, LARGEST) else f" from {least:g} to {most:g}"
            raise self.unexpected(f"a finite number{bounds}")
        return self.value

    def share(self) -> float:
        """A number in [0, 1]."""
        return self.number(0, 1)

    def shares(self, count: int | None = None) -> list[float]:
        """A list of numbers in [0, 1]."""
        return [item.share() for item in self.items(count)]

    def wholes(self, count: int | None = None) -> list[int]:
        """A list of whole numbers, none negative."""
        # A matrix of them can be large, and one that is as it should be needs no fields.
        found: list[Any] = self.value if isinstance(self.value, list) else [None]
        if count in (None, len(found)) and all(type(one) is int and 0 <= one <= MOST for one in found):
            return found
        return [item.whole() for item in self.items(count)]

    def refusal(self, why: str) -> errors.UserError:
        """The error that this value is wrong, and why."""
        return errors.UserError(
            f"{self.path}: {_short(self.name, 120) or 'the whole file'}: {why}; {self.mend}"
        )

    def unexpected(self, expected: str) -> errors.UserError:
        """The error that something else was expected."""
        return self.refusal(f"expected {expected}, got {_short(json.dumps(self.value, ensure_ascii=False))}")

    def _at(self, name: str, value: Any) -> "Field":
        return dataclasses.replace(self, name=name, value=value)


def read(path: files.PathLike, mend: str = WRITTEN_AGAIN) -> Field:
    """The document of a JSON file; raises UserError naming it when it is missing or cannot be read.

    Args:
        path: the file.
        mend: what to do about one that is not as it must be.
    """
    return Field(path, json_file.read(path, mend), mend=mend)


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
