"""Which folders of a folder of images are splits, and which are classes.

Either each folder is a class, PHOTOS/CLASS/..., or the folders are splits, PHOTOS/train/CLASS/... with val
and test if there are such. They are splits if all of them are called so (SPLITS, in capitals or not). Where
others lie beside them, one that is called so is a class if it holds images itself, and else an error.
"""

import os
import pathlib
import unicodedata
from collections import Counter

from okd_tf import errors

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng"),
    *(".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
}

# What network storage, desktops and archives leave beside and below one's own folders, in small letters:
# thumbnails, trash, snapshots and notes of the system. Names that begin with a dot are left out anyway.
SYSTEM = {
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin"),
    *("recycler", "recycled", "system volume information", "__macosx", "lost+found", "__pycache__"),
    *("network trash folder", "temporary items", "trash-1000"),
}


class Entries:
    """What is in a folder: other folders, and files that should be images."""

    def __init__(self, folder: pathlib.Path | str, ignored: Counter[str]):
        """Takes the folder, and counts in `ignored` which of its files are no images."""
        self.folders: list[os.DirEntry[str]] = []
        self.images: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise errors.UserError(
                f"--data_dir: {folder}: {error.strerror}; give a folder of images that can be read"
            ) from None
        for entry in entries:
            suffix = pathlib.PurePath(entry.name).suffix.lower()
            if entry.name.startswith("."):
                ignored["hidden"] += 1
            elif entry.is_dir() and entry.name.lower() in SYSTEM:
                ignored["folders of the system"] += 1
            elif entry.is_dir():
                self.folders.append(entry)
            elif suffix in SUFFIXES:
                self.images.append(entry)
            else:
                ignored[suffix or "without suffix"] += 1


def known_as(name: str) -> str:
    """The name of a class in the Unicode form by which names are compared; a Mac writes another."""
    return unicodedata.normalize("NFC", name)


def read(root: pathlib.Path) -> tuple[dict[str, pathlib.Path], tuple[str, ...]]:
    """The folder of each split, in the order train, val, test, and the names of the classes of train.

    A folder of classes is itself that of train.

    Raises:
        UserError: fewer than two classes, or more than one reading.
    """
    folders = _splits(root)
    class_names = tuple(sorted(folder.name for folder in Entries(folders["train"], Counter()).folders))
    for name in class_names:
        if name.strip() != name or errors.one_line(name) != name:
            raise errors.UserError(
                f"--data_dir: {folders['train']}: the class {name!r} is no text of one line; rename its "
                "folder"
            )
    same: dict[str, str] = {}
    for name in class_names:
        if same.setdefault(known_as(name), name) != name:
            raise errors.UserError(
                f"--data_dir: {folders['train']} has two folders that are called {known_as(name)}, in two "
                "Unicode forms of one name; put their images into one"
            )
    if len(class_names) < 2:
        there = f"one folder, {class_names[0]}" if class_names else "no folders"
        raise errors.UserError(
            f"--data_dir: {folders['train']} has {there}; expected one folder of images for each of two "
            f"classes or more{_inner(folders['train'], class_names)}"
        )
    return folders, class_names


def _inner(root: pathlib.Path, class_names: tuple[str, ...]) -> str:
    """The folder that is meant where an archive has put one around it, as the end of a sentence; or ""."""
    if not class_names:
        return ""
    inner = Entries(root / class_names[0], Counter())
    several = len(inner.folders) > 1 and not inner.images
    return f"; did you mean --data_dir={root / class_names[0]}" if several else ""


def _splits(root: pathlib.Path) -> dict[str, pathlib.Path]:
    if not root.is_dir():
        why = "is no folder" if root.exists() else "no such folder"
        raise errors.UserError(
            f"--data_dir: {root}: {why}; give a folder that has one of images for each class"
        )
    names = [entry.name for entry in Entries(root, Counter()).folders]
    called_splits = [name for name in names if name.lower() in SPLITS]
    others = [name for name in names if name.lower() not in SPLITS]
    if not called_splits or others:
        for name in called_splits:
            if not Entries(root / name, Counter()).images:
                raise errors.UserError(
                    f"--data_dir: {root}: {name}/ could be a split or a class, beside {_some(others)}; if it "
                    "is a split, move all others elsewhere; if it is a class, rename it"
                )
        return {"train": root}
    folders: dict[str, pathlib.Path] = {}
    for name in called_splits:
        split = SPLITS[name.lower()]
        if split in folders:
            raise errors.UserError(
                f"--data_dir: {root} has {folders[split].name}/ and {name}/, which are one split; keep one"
            )
        folders[split] = root / name
        entries = Entries(root / name, Counter())
        if entries.images and not entries.folders:
            raise errors.UserError(
                f"--data_dir: {root / name} has images and no folders of classes; put them in "
                f"{root / name}/CLASS/"
            )
    if "train" not in folders:
        raise errors.UserError(
            f"--data_dir: {root} has {_some(called_splits)} and no train/; add it, or rename a class that is "
            "called so"
        )
    return {split: folders[split] for split in ("train", "val", "test") if split in folders}


def _some(names: list[str]) -> str:
    return errors.some([f"{name}/" for name in names])
