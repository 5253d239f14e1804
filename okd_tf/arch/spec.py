"""ArchSpec: the record of one network, stored in `arch.json`.

It holds everything needed to build the network again; no search code is needed to read it. If the backbone is
a user's own, its file lies beside arch.json and the record has its fingerprint; the two move together.
"""

import dataclasses
import os
import pathlib
import shutil
from typing import Any

from okd_tf import backbones, fields, files, json_file

FORMAT_VERSION = 2
LARGEST_SIDE = 2**20  # of images, channels and classes: beyond it a number is a mistake
SMALLEST_STD = 1e-30  # its reciprocal is finite in float32
_MEND = "mend it, or search again"
_OF_KEPT_WEIGHTS = {"keep_weights", "new_layers"}  # may be left out, and are where no weights are kept


@dataclasses.dataclass(frozen=True)
class AddOn:
    """One add-on layer, put after the backbone's output `after` (h_l).

    u_l = h_l + chain * a_(l-1);  a_l = op(u_l);  the backbone goes on with h_l + feed_back * a_l.
    This is our reading of the paper's two binary connections.
    """

    after: str
    op: str
    chain: bool
    feed_back: bool


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of a network: `params` from `count_params()`; `flops` for one image, 2 per multiply-add."""

    params: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Budget:
    """The largest cost allowed; 0 is no bound."""

    max_params: int = 0
    max_flops: int = 0

    def admits(self, cost: Cost) -> bool:
        """Return whether a network of this cost fits."""
        return (not self.max_params or cost.params <= self.max_params) and (
            not self.max_flops or cost.flops <= self.max_flops
        )


@dataclasses.dataclass(frozen=True)
class ArchSpec:
    """A student: a backbone, its add-on layers, its cost, and its provenance.

    Attributes:
        backbone: a registered name, or the name of a .keras file in the folder of arch.json.
        width: width of the backbone for `backbones.build`; 0 for a file.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean that the network's first layer subtracts, scale 0..255; empty for a file,
            which normalises by itself.
        std: per-channel pixel standard deviation it divides by; empty for a file.
        add_ons: the alive add-on layers, in the order of their attach points.
        cost: parameters and FLOPs of the student.
        budget: the limits on the cost that the search was given.
        attach_points: names of the backbone's layers after which add-on layers could come, in order; empty:
            those of the registered backbone.
        backbone_sha256: `stored.fingerprint` of the file; empty for a registered name.
        keep_weights: whether trainings start from the weights in the file, and add-on layers at zero.
        new_layers: names of the file's layers that are freshly initialised all the same, such as its head.
        provenance: strategy, seed and scores of the search that found it; free-form.
        folder: folder of the backbone's file; not part of the record, set by `from_json`.
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
    keep_weights: bool = False
    new_layers: tuple[str, ...] = ()
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    folder: str = dataclasses.field(default="", compare=False)

    @property
    def backbone_path(self) -> pathlib.Path | None:
        """Return the path of the backbone's file, or None for a registered backbone."""
        return pathlib.Path(self.folder, self.backbone) if backbones.is_file(self.backbone) else None

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON's own types, which `from_json` converts back to an equal spec."""
        record = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if name != "folder" and (self.keep_weights or name not in _OF_KEPT_WEIGHTS)
        }
        return {"format_version": FORMAT_VERSION, **record}

    @classmethod
    def from_json(cls, value: Any, path: str = "arch.json") -> "ArchSpec":
        """Return the spec of a dict from `to_json`.

        Args:
            value: the parsed JSON value.
            path: path of its file, for errors; a backbone's file lies in the same folder.

        Raises:
            UserError: names `path`, the field, what was expected and what came.
        """
        names = {field.name for field in dataclasses.fields(cls)} - {"folder"}
        document = fields.Field(path, value, mend=_MEND)
        version = document.entries().get("format_version")
        if version is None or version.value != FORMAT_VERSION:
            found = str(version and version.value)[:40]
            raise document.refusal(f"format_version {found}, this version reads {FORMAT_VERSION}")
        record = document.only({*names, "format_version"} - _OF_KEPT_WEIGHTS, _OF_KEPT_WEIGHTS)
        add_ons: list[AddOn] = []
        for field in record["add_ons"].items():
            entry = field.only(("after", "op", "chain", "feed_back"))
            add_on = AddOn(
                entry["after"].text(), entry["op"].text(), entry["chain"].flag(), entry["feed_back"].flag()
            )
            if add_on.after in [other.after for other in add_ons]:
                raise entry["after"].refusal(f"'{add_on.after[:60]}' has an add-on layer already")
            add_ons.append(add_on)
        height, width, channels = (side.whole(1, LARGEST_SIDE) for side in record["input_shape"].items(3))
        backbone = record["backbone"].text()
        file = backbones.is_file(backbone)
        if file and pathlib.PurePath(backbone).name != backbone:
            raise record["backbone"].unexpected("the name of a file in the same folder")
        numbers = 0 if file else channels  # a file normalises by itself
        keeps, new = (record.get(name) for name in ("keep_weights", "new_layers"))
        if keeps and keeps.flag() and not file:
            raise keeps.unexpected("false: only a file has weights")
        return cls(
            backbone=backbone,
            width=record["width"].whole(0 if file else 1, LARGEST_SIDE),
            input_shape=(height, width, channels),
            classes=record["classes"].whole(1, LARGEST_SIDE),
            mean=tuple(float(one.number()) for one in record["mean"].items(numbers)),
            std=tuple(float(one.number(SMALLEST_STD)) for one in record["std"].items(numbers)),
            add_ons=tuple(add_ons),
            cost=Cost(**_counts(record["cost"], ("params", "flops"))),
            budget=Budget(**_counts(record["budget"], ("max_params", "max_flops"))),
            attach_points=tuple(point.text() for point in record["attach_points"].items()),
            backbone_sha256=record["backbone_sha256"].text(),
            keep_weights=keeps.flag() if keeps else False,
            new_layers=tuple(layer.text() for layer in new.items()) if new else (),
            provenance={key: one.value for key, one in record["provenance"].entries().items()},
            folder=str(pathlib.Path(path).parent),
        )


def read(path: str | os.PathLike[str]) -> ArchSpec:
    """Read an arch.json.

    Raises:
        UserError: names the file and the field that is wrong.
    """
    return ArchSpec.from_json(json_file.read(path, _MEND), str(path))


def write(path: str | os.PathLike[str], spec: ArchSpec) -> None:
    """Write an arch.json atomically, and copy the backbone's file beside it if it lies elsewhere."""
    beside = pathlib.Path(path).parent / spec.backbone
    source = spec.backbone_path
    if source is not None and source.resolve() != beside.resolve():
        with files.replacing(beside) as temporary:
            shutil.copyfile(source, temporary)
    json_file.write(path, spec.to_json())


def _counts(field: fields.Field, names: tuple[str, ...]) -> dict[str, int]:
    return {name: one.whole() for name, one in field.only(names).items()}
