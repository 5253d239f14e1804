"""ArchSpec: the record of one network, as `arch.json` holds it.

It is everything needed to build the network again: no code of a search is needed to read it. If the backbone
is a user's own, its file lies beside arch.json and the record has its fingerprint; the two move together.
"""

import dataclasses
import math
import os
import pathlib
import shutil
from typing import Any

from okd_tf import backbones, errors, files

FORMAT_VERSION = 2


@dataclasses.dataclass(frozen=True)
class AddOn:
    """One add-on layer, put after the backbone's output `after` (h_l).

    u_l = h_l + chain * a_(l-1);  a_l = op(u_l);  the backbone goes on with h_l + feed_back * a_l.
    Our reading of the paper's two binary connections.
    """

    after: str
    op: str
    chain: bool
    feed_back: bool


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs: `params` as `count_params()` has it; `flops` of one image, 2 per multiply-add."""

    params: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Budget:
    """The largest cost allowed; 0 is no bound."""

    max_params: int = 0
    max_flops: int = 0

    def admits(self, cost: Cost) -> bool:
        """Whether a network of this cost fits."""
        return (not self.max_params or cost.params <= self.max_params) and (
            not self.max_flops or cost.flops <= self.max_flops
        )


@dataclasses.dataclass(frozen=True)
class ArchSpec:
    """A student: a backbone, its add-on layers, its cost, and where it came from.

    Attributes:
        backbone: a registered name, or the name of a .keras file in the folder of arch.json.
        width: channels of the backbone's first stage; 0 for a file.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean that the network's first layer subtracts, scale 0..255; empty for a file,
            which normalises by itself.
        std: per-channel pixel standard deviation it divides by; empty for a file.
        add_ons: the living add-on layers, in the order of their attach points.
        attach_points: after which layers of the backbone add-on layers could come, in order; empty stands
            for a registered backbone's own.
        backbone_sha256: what `stored.fingerprint` says of the file; empty for a registered name.
        provenance: strategy, seed and scores of the search that found it; free-form.
        folder: where the backbone's file lies; not part of the record, set by reading one.
    """

    backbone: str
    width: int
    input_shape: tuple[int, int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    add_ons: tuple[AddOn, ...]
    cost: Cost
    budget: Budget = Budget()
    attach_points: tuple[str, ...] = ()
    backbone_sha256: str = ""
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    folder: str = dataclasses.field(default="", compare=False)

    @property
    def backbone_path(self) -> pathlib.Path | None:
        """The backbone's file, if it is one."""
        return pathlib.Path(self.folder, self.backbone) if backbones.is_file(self.backbone) else None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON's own types; `from_json` reads it back to an equal spec."""
        record = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if name != "folder"
        }
        return {"format_version": FORMAT_VERSION, **record}

    @classmethod
    def from_json(cls, value: Any, path: str = "arch.json") -> "ArchSpec":
        """Reads what `to_json` gave.

        Args:
            value: what JSON gave.
            path: its file, for errors and as what a backbone's file lies beside.

        Raises:
            UserError: naming `path`, the field, what was expected and what came.
        """
        fields = {field.name for field in dataclasses.fields(cls)} - {"folder"}
        record = _typed(value, dict, path, "the whole file")
        version = record.get("format_version")
        if version != FORMAT_VERSION:
            raise errors.UserError(
                f"{path}: format_version {version!r}, this version reads {FORMAT_VERSION}; search again"
            )
        _same_fields(record, fields | {"format_version"}, path, "the whole file")
        add_ons: list[AddOn] = []
        for index, entry in enumerate(_typed(record["add_ons"], list, path, "add_ons")):
            where = f"add_ons[{index}]"
            entry = _typed(entry, dict, path, where)
            _same_fields(entry, {"after", "op", "chain", "feed_back"}, path, where)
            for name, kind in (("after", str), ("op", str), ("chain", bool), ("feed_back", bool)):
                _typed(entry[name], kind, path, f"{where}.{name}")
            if entry["after"] in [add_on.after for add_on in add_ons]:
                raise errors.UserError(
                    f"{path}: {where}.after: '{entry['after']}' has an add-on layer already"
                )
            add_ons.append(AddOn(**entry))
        cost = _counts(record["cost"], {"params", "flops"}, path, "cost")
        budget = _counts(record["budget"], {"max_params", "max_flops"}, path, "budget")
        shape = _numbers(record["input_shape"], int, path, "input_shape")
        if len(shape) != 3:
            raise errors.UserError(f"{path}: input_shape: expected 3 numbers, got {len(shape)}")
        height, width, channels = shape
        backbone = _typed(record["backbone"], str, path, "backbone")
        if pathlib.PurePath(backbone).name != backbone and backbones.is_file(backbone):
            raise errors.UserError(
                f"{path}: backbone: expected the name of a file in the same folder, got '{backbone}'"
            )
        file = backbones.is_file(backbone)
        mean = _numbers(record["mean"], float, path, "mean")
        std = _numbers(record["std"], float, path, "std")
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != (0 if file else channels):
                expected = "no numbers for a file" if file else f"{channels} numbers, one per channel"
                raise errors.UserError(f"{path}: {name}: expected {expected}, got {len(values)}")
        if std and min(std) <= 0:
            raise errors.UserError(f"{path}: std: expected numbers above 0, got {min(std)}")
        points = _typed(record["attach_points"], list, path, "attach_points")
        for point in points:
            _typed(point, str, path, "attach_points")
        return cls(
            backbone=backbone,
            width=_numbers([record["width"]], int, path, "width", least=0 if file else 1)[0],
            input_shape=(height, width, channels),
            classes=_numbers([record["classes"]], int, path, "classes")[0],
            mean=mean,
            std=std,
            add_ons=tuple(add_ons),
            cost=Cost(**cost),
            budget=Budget(**budget),
            attach_points=tuple(points),
            backbone_sha256=_typed(record["backbone_sha256"], str, path, "backbone_sha256"),
            provenance=_typed(record["provenance"], dict, path, "provenance"),
            folder=str(pathlib.Path(path).parent),
        )


def read(path: str | os.PathLike[str]) -> ArchSpec:
    """Reads an arch.json; raises UserError naming the file and the field that is wrong."""
    return ArchSpec.from_json(files.read_json(path), str(path))


def write(path: str | os.PathLike[str], spec: ArchSpec) -> None:
    """Writes an arch.json, whole or not at all, and the backbone's file beside it if it lies elsewhere."""
    beside = pathlib.Path(path).parent / spec.backbone
    source = spec.backbone_path
    if source is not None and source.resolve() != beside.resolve():
        with files.replacing(beside) as temporary:
            shutil.copyfile(source, temporary)
    files.write_json(path, spec.to_json())


def _typed(value: Any, kind: type, path: str, field: str) -> Any:
    if not isinstance(value, kind):
        raise errors.UserError(f"{path}: {field}: expected {kind.__name__}, got {str(value)[:40]!r}")
    return value


def _same_fields(record: dict[str, Any], fields: set[str], path: str, where: str) -> None:
    for problem, names in (("missing", fields - set(record)), ("unknown", set(record) - fields)):
        if names:
            raise errors.UserError(f"{path}: {where}: {problem} field {', '.join(sorted(map(str, names)))}")


def _numbers(values: Any, kind: type, path: str, field: str, least: int = 1) -> tuple[Any, ...]:
    kinds = (int,) if kind is int else (int, float)
    whole = "a positive integer" if least == 1 else f"an integer >= {least}"
    expected = whole if kind is int else "a number"
    for value in _typed(values, list, path, field):
        allowed = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        if not allowed or (kind is int and value < least):
            raise errors.UserError(f"{path}: {field}: expected {expected}, got {str(value)[:40]!r}")
    return tuple(kind(value) for value in values)


def _counts(value: Any, fields: set[str], path: str, field: str) -> dict[str, int]:
    record = _typed(value, dict, path, field)
    _same_fields(record, fields, path, field)
    for name, count in record.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise errors.UserError(f"{path}: {field}.{name}: expected an integer >= 0, got {count!r}")
    return record
