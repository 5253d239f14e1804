"""Which training examples a teacher did not train on, so that what it says of them is no memory.

The training examples are cut into k parts, and teacher i trains on all but part i mod k (cross-fitting); with
k teachers or more, each example was held out by some. The teacher's manifest tells:

    teachers/teacher_00.json   {"held_out": {"folds": k, "part": i mod k, "seed": s, "split": fingerprint}}

The parts belong to the split, as validation does, and have its seed: teachers of several runs on one split
hold out the same parts, and can be asked together.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from okd_tf import errors, fields, files, json_file
from okd_tf.data import splits
from okd_tf.teachers import manifest

HeldOut = dict[str, Any]  # as in the file


def parts(ids: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which part each example is in: ids int64 [examples] -> int64 [examples] in [0, folds).

    Their sizes differ by one at most. An example's part depends on the seed and on which ids there are, not
    on their order.
    """
    found = np.empty(len(ids), np.int64)
    found[splits.order(ids, seed, "folds")] = np.arange(len(ids)) % folds
    return found


def fingerprint(ids: np.ndarray) -> str:
    """The SHA-256 of the ids of a training split, whatever their order."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def assigned(ids: np.ndarray, teachers: int, folds: int, seed: int) -> list[HeldOut | None]:
    """What each teacher is to hold out of these training examples; without folds nothing."""
    if not folds:
        return [None] * teachers
    common = {"seed": seed, "split": fingerprint(ids)}
    return [{"folds": folds, "part": index % folds, **common} for index in range(teachers)]


def seen(ids: np.ndarray, held_out: Sequence[HeldOut | None]) -> np.ndarray:
    """Which examples each teacher was trained on: bool [teachers, examples].

    A teacher without a record, or with one of another training split, counts as having seen them all.

    Args:
        ids: of the training examples.
        held_out: what each teacher held out.
    """
    found = np.ones((len(held_out), len(ids)), bool)
    for row, one in zip(found, held_out, strict=True):
        if one is not None and not is_foreign(ids, one):
            row[:] = parts(ids, one["folds"], one["seed"]) != one["part"]
    return found


def is_foreign(ids: np.ndarray, held_out: HeldOut | None) -> bool:
    """Whether a record is of another training split, so that it says nothing of these examples."""
    return held_out is not None and held_out["split"] != fingerprint(ids)


def check_batch(examples: int, folds: int, batch_size: int) -> None:
    """Raises UserError when a part is empty, or what is left to a teacher smaller than one batch."""
    if folds > examples:
        raise errors.UserError(
            f"--teacher_folds: {folds} parts of {examples} training examples leave some empty; use fewer"
        )
    left = examples - -(-examples // folds)
    if left < batch_size:
        raise errors.UserError(
            f"--teacher_folds: {folds} leave a teacher {left} of {examples} training examples, fewer than "
            f"--batch_size={batch_size}; use more folds or smaller batches"
        )


def check_held_out(seen: np.ndarray) -> None:
    """Raises UserError when no teacher held anything out: seen bool [teachers, examples]."""
    if seen.all():
        raise errors.UserError(
            "--held_out_only: beside no teacher is a record that it held out any of these training examples; "
            "use teachers trained on this split with --teacher_folds, or leave it out"
        )


def write(path: files.PathLike, held_out: HeldOut) -> None:
    """Records beside a teacher's file what it holds out."""
    json_file.write(manifest.path(path), manifest.Manifest(held_out=held_out).to_json())


def recorded(path: files.PathLike) -> HeldOut | None:
    """What is recorded beside a teacher's file that it held out; None if nothing is.

    Raises:
        UserError: a record that cannot be read; names its file.
    """
    held_out = manifest.read(path).held_out
    if held_out is None:
        return None
    mend = "correct it, or leave held_out out: it is what --teacher_folds writes"
    field = fields.Field(manifest.path(path), held_out, "held_out", mend)
    found = field.only(("folds", "part", "seed", "split"))
    found["part"].whole(0, found["folds"].whole(2) - 1)
    found["seed"].whole(-fields.MOST)
    found["split"].text()
    return held_out


def is_recorded(path: files.PathLike, held_out: HeldOut) -> bool:
    """Whether what is recorded beside a teacher's file, if it can be read, is this."""
    try:
        return recorded(path) == held_out
    except errors.UserError:
        return False


def accuracies(logits: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> dict[str, list[float | None]]:
    """How right each teacher is on training examples that it did not train on, and on those it did.

    Args:
        logits: [teachers, examples, classes].
        labels: int [examples].
        seen: bool [teachers, examples].

    Returns:
        per_teacher: accuracy of each on what it held out; None if that is nothing.
        seen: accuracy of each on the others.
    """
    right = np.argmax(logits, axis=-1) == labels

    def of_each(chosen: np.ndarray) -> list[float | None]:
        pairs = zip(right, chosen, strict=True)
        return [float(row[rows].mean()) if rows.any() else None for row, rows in pairs]

    return {"per_teacher": of_each(~seen), "seen": of_each(seen)}
