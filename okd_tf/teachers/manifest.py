"""What is declared of a teacher: a JSON file of the same name beside it, whose keys may all be left out.

`models/a.json` is the manifest of `models/a.keras`, `models/saved.json` that of the SavedModel
`models/saved/`.
"""

import dataclasses
import json
import pathlib
from typing import Any

from okd_tf import errors, files

LOGITS, PROBABILITIES = "logits", "probabilities"
_LARGEST = 1e30  # of any number here: float32 can compute with it


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a teacher takes and gives, where that is not what the dataset has.

    Attributes:
        outputs: LOGITS or PROBABILITIES; "" is whichever its outputs look like.
        input_size: (height, width) that images are resized to; None is the dataset's own.
        value_range: what the pixel values 0 and 255 are mapped to.
        mean: per channel, subtracted after that; empty is none.
        std: per channel, divided by after that; empty is none.
        class_names: the dataset's, in the order of its outputs; empty is the dataset's order.
        signature: which one of a SavedModel to ask.
        output: which one of that signature's outputs holds the classes; "" is the only one.
        held_out: which part of the training split the network has not seen; None is not known.
    """

    outputs: str = ""
    input_size: tuple[int, int] | None = None
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    signature: str = "serving_default"
    output: str = ""
    held_out: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON's own types with what is declared; written beside a teacher, it is read as this."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }


def path(teacher: files.PathLike) -> pathlib.Path:
    """Where the manifest of a .keras file or of a SavedModel folder is, if it has one."""
    teacher = pathlib.Path(teacher)
    return teacher.with_name((teacher.stem if teacher.suffix == ".keras" else teacher.name) + ".json")


def read(teacher: files.PathLike) -> Manifest:
    """The manifest of a teacher; the default one if there is none.

    Raises:
        UserError: not JSON, an unknown key or a value of the wrong kind; names the file and the key.
    """
    own = path(teacher)
    if not own.exists():
        return Manifest()
    said = files.read_json(own, mend=f"Mend it: it is read as the manifest of {pathlib.Path(teacher).name}")
    if not isinstance(said, dict):
        raise errors.UserError(
            f"{own}: expected an object of {', '.join(_KEYS)}, got {_short(said)}; "
            f"it is read as the manifest of {pathlib.Path(teacher).name}"
        )
    values: dict[str, Any] = {}
    for key, value in said.items():
        if key not in _KEYS:
            what = f"{own}: a key of the manifest of {pathlib.Path(teacher).name}"
            raise errors.unknown(what, key, _KEYS)
        fits, expected = _KEYS[key]
        if not fits(value):
            raise errors.UserError(f"{own}: {key}: expected {expected}, got {_short(value)}")
        values[key] = tuple(value) if isinstance(value, list) else value
    return Manifest(**values)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_outputs(value: Any) -> bool:
    return value in (LOGITS, PROBABILITIES)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_size(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(type(side) is int and side > 0 for side in value)


def _are_numbers(value: Any) -> bool:
    listed = isinstance(value, list) and len(value) > 0
    return listed and all(type(each) in (int, float) and abs(each) < _LARGEST for each in value)


def _is_range(value: Any) -> bool:
    return _are_numbers(value) and len(value) == 2 and value[0] != value[1]


def _are_positive(value: Any) -> bool:
    return _are_numbers(value) and min(value) > 0


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_name, value))


# What each key must be, and how that is said.
_KEYS = {
    "outputs": (_is_outputs, f'"{LOGITS}" or "{PROBABILITIES}"'),
    "input_size": (_is_size, "[height, width], two integers above 0"),
    "value_range": (_is_range, "[low, high], two different numbers"),
    "mean": (_are_numbers, "a list of numbers, one per channel"),
    "std": (_are_positive, "a list of numbers above 0, one per channel"),
    "class_names": (_are_names, "a list of names"),
    "signature": (_is_name, "a name"),
    "output": (_is_name, "a name"),
    "held_out": (_is_object, "an object"),
}
