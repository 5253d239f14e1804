"""Which files a folder of images has, and of which split and class each is. No file is opened here.

Which folders are splits and classes says `layout`; here they are walked.
"""

import dataclasses
import hashlib
import os
import pathlib
import unicodedata
from collections import Counter
from collections.abc import Iterator

from okd_tf import errors, files
from okd_tf.sources import layout
from okd_tf.sources.request import Request


@dataclasses.dataclass(frozen=True)
class File:
    """A file that should be an image.

    Attributes:
        path: where it is.
        name: the same below the folder of its split, with "/" on all systems.
        label: the place of its class among the names of classes.
        size_bytes: of the file, -1 if it is none, such as a link to nothing.
        time_ns: when it was changed last.
    """

    path: str
    name: str
    label: int
    size_bytes: int
    time_ns: int

    @property
    def id(self) -> int:
        """63 bits of a hash of the name: they stay when files are added, or copied to another system."""
        name = unicodedata.normalize("NFC", self.name).encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) >> 1


@dataclasses.dataclass(frozen=True)
class Listing:
    """What is in a folder of images.

    Attributes:
        root: the folder.
        class_names: in their order by name.
        files: of each split, in the order of their names; "val" and "test" only where there are such folders.
        ignored: how many files of which kind are no images: by suffix, or "hidden".
    """

    root: pathlib.Path
    class_names: tuple[str, ...]
    files: dict[str, tuple[File, ...]]
    ignored: dict[str, int]

    def single(self) -> list[str]:
        """The classes that train has one image of."""
        counts = Counter(file.label for file in self.files["train"])
        return [self.class_names[label] for label in sorted(counts) if counts[label] == 1]

    def missing(self) -> dict[str, list[str]]:
        """The classes that a split has no image of, by the split."""
        of = {split: {file.label for file in found} for split, found in self.files.items()}
        all_labels = range(len(self.class_names))
        found = {
            split: [self.class_names[each] for each in all_labels if each not in of[split]] for split in of
        }
        return {split: names for split, names in found.items() if names}


def look(asked: Request) -> None:
    """Raises UserError as `read` does, but for two names of one id; looks for one image of each class."""
    folders, class_names = layout.read(root(asked))
    for folder in folders.values():
        for of_class in _by_class(folder, class_names, Counter()):
            next(of_class)


def root(asked: Request) -> pathlib.Path:
    """The folder that is asked for.

    Raises:
        UserError: none is named.
    """
    if not asked.data_dir:
        raise errors.UserError("--data_dir: give the folder of images, which --dataset=folder reads")
    return pathlib.Path(asked.data_dir)


def read(root: pathlib.Path) -> Listing:
    """Lists a folder of images.

    Raises:
        UserError: it has no classes of images, or more than one reading.
    """
    folders, class_names = layout.read(root)
    ignored: Counter[str] = Counter()
    if folders["train"] != root:
        _loose(root, ignored)
    found = {split: _files(folder, class_names, ignored) for split, folder in folders.items()}
    return Listing(root, class_names, found, dict(sorted(ignored.items())))


def _loose(folder: pathlib.Path, ignored: Counter[str]) -> list["os.DirEntry[str]"]:
    """The folders in a folder of classes or splits; what else lies there is ignored."""
    entries = layout.Entries(folder, ignored)
    if entries.images:
        ignored["in no class"] += len(entries.images)
    return entries.folders


def _files(folder: pathlib.Path, class_names: tuple[str, ...], ignored: Counter[str]) -> tuple[File, ...]:
    """All files of a split, in the order of their names."""
    found = [file for of_class in _by_class(folder, class_names, ignored) for file in of_class]
    found.sort(key=lambda file: file.name)
    _refuse_same_ids(folder, found)
    return tuple(found)


def _by_class(
    folder: pathlib.Path, class_names: tuple[str, ...], ignored: Counter[str]
) -> Iterator[Iterator[File]]:
    """The files of each class of a split, which are looked for as they are asked for."""
    here = folder.resolve()
    above = {_identity(one) for one in (here, *here.parents)}
    classes = _loose(folder, ignored)
    if not classes:
        raise errors.UserError(f"--data_dir: {folder} has no folders of classes; fill it, or remove it")
    labels = {layout.known_as(name): label for label, name in enumerate(class_names)}
    seen: dict[str, str] = {}
    for entry in classes:
        known = layout.known_as(entry.name)
        if seen.setdefault(known, entry.name) != entry.name:
            raise errors.UserError(
                f"--data_dir: {folder} has two folders that are called {known}, in two Unicode forms of one "
                "name; put their images into one"
            )
        if known not in labels:
            raise errors.UserError(
                f"--data_dir: {folder} has the class '{entry.name}', which train has not; add images of it "
                "there, or move it elsewhere"
            )
        yield _of_class(entry, labels[known], above, ignored)


def _of_class(
    folder: "os.DirEntry[str]", label: int, above: set[tuple[int, int]], ignored: Counter[str]
) -> Iterator[File]:
    """The files of a class, of which there must be some."""
    empty, others = True, Counter[str]()
    for file in _below(folder.path, folder.name, label, above, others):
        empty = False
        yield file
    if empty:
        has = f"has no images ({kinds(others)})" if others else "is empty"
        raise errors.UserError(
            f"--data_dir: the class folder {folder.path} {has}; expected images in it ("
            f"{' '.join(sorted(layout.SUFFIXES))}), or remove it"
        )
    ignored.update(others)


def _below(
    folder: str, name: str, label: int, above: set[tuple[int, int]], ignored: Counter[str]
) -> Iterator[File]:
    """All files below a folder; `above` are the folders that it lies in, for links that lead back."""
    identity = _identity(folder)
    if identity in above:
        ignored["link that leads back"] += 1
        return
    entries = layout.Entries(folder, ignored)
    for entry in entries.images:
        size, time = -1, -1
        if entry.is_file():
            status = entry.stat()
            size, time = status.st_size, status.st_mtime_ns
        yield File(entry.path, f"{name}/{entry.name}", label, size, time)
    for entry in entries.folders:
        yield from _below(entry.path, f"{name}/{entry.name}", label, above | {identity}, ignored)


def _identity(path: files.PathLike) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _refuse_same_ids(folder: pathlib.Path, found: list[File]) -> None:
    names: dict[int, str] = {}
    for file in found:
        other = names.setdefault(file.id, file.name)
        if other != file.name:
            raise errors.UserError(
                f"--data_dir: {folder}: {other} and {file.name} have the same id, which is of their names; "
                "rename one"
            )


def kinds(ignored: dict[str, int]) -> str:
    """What is ignored, as "3 .txt, 1 hidden"."""
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(ignored.items()))
