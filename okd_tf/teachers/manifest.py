"""What is declared of a teacher: a JSON file of the same name beside it, whose keys may all be left out.

`models/a.json` is the manifest of `models/a.keras`, `models/saved.json` that of the SavedModel
`models/saved/`.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from okd_tf import errors, fields, files

LOGITS, PROBABILITIES, SIGMOIDS = OUTPUTS = "logits", "probabilities", "sigmoids"
RGB, BGR = ORDERS = "rgb", "bgr"  # of the channels
LARGEST_SIDE = 2**14  # of images: beyond it a number is a mistake
SMALLEST_STD = 1e-30  # its reciprocal is finite in float32


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a teacher takes and gives, where that is not what the dataset has.

    Attributes:
        outputs: of OUTPUTS; SIGMOIDS are probabilities still to be divided by their sum; "" is LOGITS or
            PROBABILITIES, whichever its outputs look like.
        input_size: (height, width) that images are resized to; None is the dataset's own.
        channel_order: of ORDERS, in which the network takes them.
        value_range: what the pixel values 0 and 255 are mapped to.
        mean: per channel, in the network's order, subtracted after that; empty is none.
        std: per channel, divided by after that; empty is none.
        class_names: the dataset's, in the order of its outputs; empty is the dataset's order.
        signature: which one of a SavedModel to ask.
        output: which one of its outputs holds the classes, of a SavedModel those of that signature; "" is the
            only one.
        held_out: which part of the training split the network has not seen; None is not known.
        trained_on: a splits.csv that lists what it was trained on, its path from the manifest's folder; "" is
            not known.
    """

    outputs: str = ""
    input_size: tuple[int, int] | None = None
    channel_order: str = RGB
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    signature: str = "serving_default"
    output: str = ""
    held_out: dict[str, Any] | None = None
    trained_on: str = ""

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
    whose = f"the manifest of {pathlib.Path(teacher).name}"
    document = fields.read(own, mend=f"mend it: it is read as {whose}")
    if not isinstance(document.value, dict):
        raise document.unexpected(f"an object of {', '.join(_KEYS)}")
    values: dict[str, Any] = {}
    for key, field in document.entries().items():
        if key not in _KEYS:
            raise errors.unknown(f"{own}: a key of {whose}", key[:60], _KEYS)
        values[key] = _KEYS[key](field)
    return Manifest(**values)


def _outputs(field: fields.Field) -> str:
    return field.text(OUTPUTS)


def _order(field: fields.Field) -> str:
    return field.text(ORDERS)


def _size(field: fields.Field) -> tuple[int, int]:
    height, width = (side.whole(1, LARGEST_SIDE) for side in field.items(2))
    return height, width


def _range(field: fields.Field) -> tuple[float, float]:
    low, high = (side.number() for side in field.items(2))
    if low == high:
        raise field.unexpected("two different numbers")
    return low, high


def _several(field: fields.Field) -> list[fields.Field]:
    if field.value == []:
        raise field.unexpected("at least one element")
    return field.items()


def _numbers(field: fields.Field) -> tuple[float, ...]:
    return tuple(each.number() for each in _several(field))


def _positive(field: fields.Field) -> tuple[float, ...]:
    return tuple(each.number(SMALLEST_STD) for each in _several(field))


def _names(field: fields.Field) -> tuple[str, ...]:
    return tuple(each.label() for each in _several(field))


def _object(field: fields.Field) -> dict[str, Any]:
    return {key: each.value for key, each in field.entries().items()}


# How each key is read.
_KEYS: dict[str, Callable[[fields.Field], Any]] = {
    "outputs": _outputs,
    "input_size": _size,
    "channel_order": _order,
    "value_range": _range,
    "mean": _numbers,  # one per channel
    "std": _positive,  # likewise
    "class_names": _names,
    "signature": fields.Field.label,
    "output": fields.Field.label,
    "held_out": _object,
    "trained_on": fields.Field.label,
}
