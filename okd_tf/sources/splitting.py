"""A folder of images made into one with train/, val/ and test/: class by class, copies kept together."""

import fractions
import hashlib
import math
import os
import pathlib
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator

from okd_tf import errors, files, progress
from okd_tf.sources import layout, listing, split_list

Group = list[listing.File]  # files of the same bytes, which go into one split


def split(
    data_dir: str, out: str, val: float, test: float, seed: int = 0, copies: bool = False
) -> dict[str, int]:
    """Make a folder of splits, whole or not at all.

    Which images are taken depends on the seed and on the files' names and bytes, not on their order.

    Args:
        data_dir: folder of CLASS/images.
        out: folder to make.
        val: share of each class below 1, or number of its images; 0 is none.
        test: likewise.
        seed: of the draw.
        copies: whether files are copied, and not linked to.

    Returns:
        The number of images in each split that was made.

    Raises:
        UserError: the folder cannot be used, is too small for what is asked, or `out` cannot be made.
    """
    _check_shares(val, test)
    root, target = _check_folders(data_dir, out)
    folders, _ = layout.read(root)
    listed = listing.read(root)
    if folders["train"] != root:
        raise errors.UserError(f"--data_dir: {root} has splits already; give a folder of classes")
    there = [file for file in listed.files["train"] if file.size_bytes >= 0]
    groups = _groups(there)
    parts: dict[str, list[listing.File]] = {name: [] for name in split_list.SPLITS}
    for label, class_name in enumerate(listed.class_names):
        own = [group for group in groups if group[0].label == label]
        for name, chosen in _divided(own, class_name, {"test": test, "val": val}, seed).items():
            parts[name] += [file for group in chosen for file in group]
    parts = {name: sorted(part, key=lambda file: file.name) for name, part in parts.items() if part}
    if copies:
        size = sum(file.size_bytes for part in parts.values() for file in part)
        files.require_space(target, size, "a copy of the images", "--out")
    _write(target, parts, copies)
    return {name: len(part) for name, part in parts.items()}


def _check_shares(val: float, test: float) -> None:
    for flag, value in (("--val", val), ("--test", test)):
        if not (math.isfinite(value) and value >= 0) or (value > 1 and value != int(value)):
            raise errors.UserError(
                f"{flag}: {value:g} is neither a share below 1 nor a number of images; give 0.1, or 20"
            )
    if not val and not test:
        raise errors.UserError("--val, --test: both are 0, which splits nothing; raise one")
    if val < 1 and test < 1 and val + test >= 1:
        raise errors.UserError(
            f"--val, --test: {val:g} and {test:g} leave nothing to train on; give less than 1 in all"
        )


def _check_folders(data_dir: str, out: str) -> tuple[pathlib.Path, pathlib.Path]:
    if not data_dir:
        raise errors.UserError("--data_dir: give the folder of images, which has one for each class")
    if not out:
        raise errors.UserError("--out: give the folder to make")
    root, target = pathlib.Path(data_dir).expanduser(), pathlib.Path(out).expanduser()
    if os.path.lexists(target):
        raise errors.UserError(f"--out: {target} is there already; give another name, or remove it")
    if target.resolve().is_relative_to(root.resolve()):
        raise errors.UserError(
            f"--out: {target} lies in --data_dir={root}, and would be taken for a class; give one outside"
        )
    return root, target


def _groups(of: Iterable[listing.File]) -> list[Group]:
    """Return files in groups of the same bytes, in the order of names.

    Raises:
        UserError: copies of one image in two classes; a file cannot be read.
    """
    by_size = defaultdict(list)
    for file in of:
        by_size[file.size_bytes].append(file)
    count = progress.Count("split", sum(map(len, by_size.values())), "files read")
    groups: dict[tuple[int, str], Group] = defaultdict(list)
    for size, same in by_size.items():
        for file in same:
            # A size that no other file has needs no reading.
            groups[size, _digest(file) if same[1:] else ""].append(file)
            count.add()
    for group in groups.values():
        other = next((file for file in group if file.label != group[0].label), None)
        if other:
            raise errors.UserError(
                f"--data_dir: {group[0].path} and {other.path} are the same image in two classes; remove the "
                "wrong one"
            )
    return sorted(groups.values(), key=lambda group: group[0].name)


def _digest(file: listing.File) -> str:
    try:
        return files.sha256(file.path)
    except OSError as error:
        raise errors.UserError(
            f"--data_dir: {file.path}: cannot be read ({error.strerror or error}); mend or remove it"
        ) from None


def _divided(
    groups: list[Group], class_name: str, wanted: dict[str, float], seed: int
) -> dict[str, list[Group]]:
    """Return the groups of a class by split: of each as many images as wanted, or the next fewer.

    Raises:
        UserError: the class is too small.
    """
    images = sum(map(len, groups))
    left = sorted(groups, key=lambda group: _drawn(group, seed))
    found: dict[str, list[Group]] = {}
    for name, value in wanted.items():
        # As it is written: 0.1 of 30 images are 3.
        count = round(fractions.Fraction(str(value)) * images) if value < 1 else int(value)
        if value:
            count = max(1, count)
        chosen: list[Group] = []
        rest: list[Group] = []
        taken = 0
        for group in left:
            fits = taken + len(group) <= count
            (chosen if fits else rest).append(group)
            taken += len(group) if fits else 0
        if (count and not taken) or (value >= 1 and taken < count):
            raise errors.UserError(
                f"--{name}: the class {class_name} has {images} images, {len(groups)} different: too few for "
                f"{value:g}; add images of it, or ask for less"
            )
        found[name], left = chosen, rest
    if not left:
        raise errors.UserError(
            f"--val, --test: the class {class_name} has {images} images, {len(groups)} different: none is "
            "left to train on; add images of it, or ask for less"
        )
    return {**found, "train": left}


def _drawn(group: Group, seed: int) -> tuple[bytes, str]:
    """Return a place in the draw that depends on the seed and the name alone."""
    name = group[0].name
    hashed = hashlib.blake2b(f"{seed} {group[0].id}".encode(), digest_size=16).digest()
    return hashed, name


def _write(out: pathlib.Path, parts: dict[str, list[listing.File]], copies: bool) -> None:
    count = progress.Count("split", sum(map(len, parts.values())), "files made")

    def made(temporary: pathlib.Path) -> Iterator[tuple[str, str, str]]:
        for split_name, part in parts.items():
            for file in part:
                target = temporary / split_name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if copies:
                    shutil.copy2(file.path, target)
                else:
                    target.symlink_to(os.path.abspath(file.path))
                count.add()
                yield f"{split_name}/{file.name}", split_name, split_name

    with files.replacing(out, "--out") as temporary:
        temporary.mkdir()
        split_list.write(temporary / split_list.NAME, made(temporary))
