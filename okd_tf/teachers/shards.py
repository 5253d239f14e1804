"""The bank's files: logits in shards that are written whole, summed and checked; `store` reads them back.

    bank.json                         what is stored, and of what (`Plan`)
    train/view_000_rows_0000000.f16   little-endian float16 [rows, teachers, classes] of one view, no header
    val/view_000_rows_0000000.f16     likewise of the validation examples, as they are
    seen.u8                           uint8 [teachers, train rows]: 1 where a teacher trained on the example
    shards.sha256                     one line a finished file, as `sha256sum --check` takes it

A logit is kept as how far it is below its teacher's largest (`relative`). A shard is there when its line is:
the line is written after the file has its name. So a killed fill goes on with the first shard that has none.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from okd_tf import errors, fields, files, json_file

FORMAT = 3
SHARD_ROWS = 4096  # a minute's work of large teachers at most, and few enough files

PARTS = ("train", "val")
MOST = 2**40  # of anything counted: products of two are still int64

SEEN = "seen.u8"
_PLAN, _SUMS = "bank.json", "shards.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a bank is to hold.

    Attributes:
        key: what it is of, by the name of each part: of whose data, splits, views and teachers (JSON).
        rows: examples, by split.
        views: views of each example, by split.
        teachers: how many.
        classes: logits of each.
    """

    key: dict[str, Any]
    rows: dict[str, int]
    views: dict[str, int]
    teachers: int
    classes: int

    @property
    def size_bytes(self) -> int:
        """Of all shards."""
        return sum(self.shard_bytes(shard) for shard in self.shards())

    def shards(self) -> Iterator["Shard"]:
        """All shards, in the order in which they are written."""
        for part in self.rows:
            for view in range(self.views[part]):
                for row in range(0, self.rows[part], SHARD_ROWS):
                    yield self.shard_of(part, view, row)

    def shard_of(self, part: str, view: int, row: int) -> "Shard":
        """The shard that holds a row of a view."""
        start = row // SHARD_ROWS * SHARD_ROWS
        return Shard(part, view, start, min(start + SHARD_ROWS, self.rows[part]))

    def shard_bytes(self, shard: "Shard") -> int:
        """The size of a shard's file."""
        return 2 * (shard.stop - shard.start) * self.teachers * self.classes


@dataclasses.dataclass(frozen=True)
class Shard:
    """The rows start..stop-1 of one view of a split."""

    part: str
    view: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Its path below the bank's folder."""
        return f"{self.part}/view_{self.view:03}_rows_{self.start:07}.f16"


# (split, view, first row, row after the last) -> [rows, teachers, classes]
Logits = Callable[[str, int, int, int], np.ndarray]


def fill(
    folder: files.PathLike,
    plan: Plan,
    logits: Logits,
    seen: np.ndarray,
    done: Callable[[Shard], None] = lambda shard: None,
) -> None:
    """Writes every shard that is not there.

    Args:
        folder: the bank's.
        plan: what to write.
        logits: gives the rows of a shard.
        seen: bool [teachers, train rows], whether a teacher has trained on an example.
        done: called after each shard that was written.

    Raises:
        UserError: the folder holds a bank of something else, or a damaged shard; the disk is too small.
    """
    folder = pathlib.Path(folder)
    if (folder / _PLAN).exists() or (folder / _SUMS).exists():
        _refuse_what_differs(folder, read_plan(folder), plan)
    missing = list(unfinished(folder, plan))
    files.require_space(folder, sum(map(plan.shard_bytes, missing)), "the view bank")
    verify(folder, plan)
    json_file.write(folder / _PLAN, {"format": FORMAT, **dataclasses.asdict(plan)})
    if seen.shape != (plan.teachers, plan.rows["train"]):
        raise ValueError(f"seen: {seen.shape} is not [teachers, train rows]")
    for shard in missing:
        content = logits(shard.part, shard.view, shard.start, shard.stop)
        stored = _encoded(content).tobytes()
        if len(stored) != plan.shard_bytes(shard):
            raise ValueError(f"{shard.name}: {content.shape} are not the logits of its rows")
        _write_summed(folder, shard.name, stored)
        done(shard)
    # Last: where it is, all is.
    _write_summed(folder, SEEN, seen.astype(np.uint8).tobytes())
    _tidy_sums(folder, plan)


def relative(logits: np.ndarray) -> np.ndarray:
    """How far each logit is below the largest of its row, 0 or less: [..., classes] -> the same.

    A softmax takes it for the logits. float16 is finest near zero, so that it keeps best what weighs most,
    and however large the logits are, who is right stays so.
    """
    return logits - logits.max(axis=-1, keepdims=True)


def _encoded(logits: np.ndarray) -> np.ndarray:
    limits = np.finfo(np.float16)
    below = relative(logits)
    rounded = np.maximum(below, limits.min).astype("<f2")
    # Two that differ stay different, so that no other class becomes the largest.
    return np.where(below < 0, np.minimum(rounded, -limits.smallest_subnormal), rounded).astype("<f2")


def _write_summed(folder: pathlib.Path, name: str, content: bytes) -> None:
    with files.replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    files.append_line(folder / _SUMS, f"{hashlib.sha256(content).hexdigest()}  {name}")


def _tidy_sums(folder: pathlib.Path, plan: Plan) -> None:
    """Leaves one line of each file, in the order of the plan, without what kills and repairs have left."""
    sums = _read_sums(folder)
    text = "".join(f"{sums[name]}  {name}\n" for name in [*(shard.name for shard in plan.shards()), SEEN])
    if text != (folder / _SUMS).read_text(encoding="utf-8", errors="replace"):
        files.write_text(folder / _SUMS, text)


def unfinished(folder: files.PathLike, plan: Plan) -> Iterator[Shard]:
    """The shards of a plan that are still to be written."""
    folder = pathlib.Path(folder)
    sums = _read_sums(folder)
    for shard in plan.shards():
        path = folder / shard.name
        if shard.name not in sums or not path.exists() or path.stat().st_size != plan.shard_bytes(shard):
            yield shard


def complete(folder: files.PathLike) -> bool:
    """Whether a folder holds a bank with all its shards, each of its size; they are not read."""
    folder = pathlib.Path(folder)
    if not (folder / _PLAN).exists() or not _has_seen(folder):
        return False
    return not any(unfinished(folder, read_plan(folder)))


def _has_seen(folder: pathlib.Path) -> bool:
    return SEEN in _read_sums(folder) and (folder / SEEN).exists()


def refuse_foreign(folder: files.PathLike, key: dict[str, Any], views: dict[str, int]) -> None:
    """Raises UserError unless a folder holds a bank of these things; says which differ."""
    folder = pathlib.Path(folder)
    plan = read_plan(folder)
    different = [name for name in sorted({*key, *plan.key}) if key.get(name) != plan.key.get(name)]
    if different:
        raise errors.UserError(
            f"{folder}: a view bank of something else: {_listed(different)} not the same as in this run; use "
            "another --workdir or --bank, or delete the folder to have it written again"
        )
    for part, count in views.items():
        if plan.views.get(part, 0) < count:
            raise errors.UserError(
                f"{folder}: holds {plan.views.get(part, 0)} views of each {part} example, {count} are asked "
                "for; ask for fewer --views, or for another bank"
            )


def read_plan(folder: pathlib.Path) -> Plan:
    """Reads bank.json; raises UserError when it is missing or of another form."""
    path = folder / _PLAN
    if not path.exists():
        raise errors.UserError(
            f"{folder}: no view bank there, {_PLAN} is missing; if the folder holds shards, delete it to "
            "have them written again"
        )
    document = fields.read(path, mend="delete the folder to have it written again")
    form = document.get("format")
    if form is None or form.value != FORMAT:
        raise errors.UserError(
            f"{path}: not a view bank of format {FORMAT}; delete the folder to have it written again"
        )
    stored = document.only({"format", *(field.name for field in dataclasses.fields(Plan))})
    return Plan(
        key={name: part.value for name, part in stored["key"].entries().items()},
        rows=_counts(stored["rows"]),
        views=_counts(stored["views"]),
        teachers=stored["teachers"].whole(1, MOST),
        classes=stored["classes"].whole(1, MOST),
    )


def _counts(field: fields.Field) -> dict[str, int]:
    return {part: count.whole(1, MOST) for part, count in field.only(PARTS).items()}


def _refuse_what_differs(folder: pathlib.Path, there: Plan, plan: Plan) -> None:
    refuse_foreign(folder, plan.key, plan.views)
    if there != plan:
        raise errors.UserError(
            f"{folder}: a view bank of other size (views, examples, teachers or classes); use another "
            "--workdir, or delete the folder to have it written again"
        )


def _read_sums(folder: pathlib.Path) -> dict[str, str]:
    """The checksums by shard; a line that a kill cut short is none."""
    path = folder / _SUMS
    if not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise errors.UserError(
            f"{path}: cannot be read: {error.strerror}; delete the folder to have it written again"
        ) from None
    found = (_LINE.fullmatch(line) for line in lines)
    return {line[2]: line[1] for line in found if line}


def verify(folder: pathlib.Path, plan: Plan) -> None:
    """Raises UserError, naming the file, unless all that is finished has the content it was written with."""
    sums = _read_sums(folder)
    waiting = set(unfinished(folder, plan))
    names = [shard.name for shard in plan.shards() if shard not in waiting]
    for name in [*names, *([SEEN] if _has_seen(folder) else [])]:
        if files.sha256(folder / name) != sums[name]:
            raise errors.UserError(
                f"{folder / name}: damaged, its checksum is not the one in {_SUMS}; delete this file, and "
                "the bank stage writes it again"
            )


def _listed(names: list[str]) -> str:
    """Names as the subject of a sentence, with its verb."""
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"
