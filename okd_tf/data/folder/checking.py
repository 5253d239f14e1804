"""What the headers of all files of a folder say: whether they are images of one size, grey or in colour."""

import concurrent.futures
import dataclasses
import pathlib
from collections import Counter

from okd_tf import errors, progress
from okd_tf.data import pixels
from okd_tf.sources import listing
from okd_tf.sources.request import Request

_THREADS = 8  # they wait for the disk


class Unreadable:
    """The files that cannot be read, which are listed in a file; they are left out up to a number of them."""

    def __init__(self, listed: listing.Listing, limit: int, path: pathlib.Path):
        """Takes the folder's files, how many may be unreadable, and where they are to be listed."""
        self._root = listed.root
        self._total = sum(map(len, listed.files.values()))
        self._limit = limit
        self._path = path
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def note(self, file: listing.File, why: str) -> None:
        """Takes one more."""
        self._lines.append(errors.one_line(f"{file.path}: {why}"))

    def add(self, file: listing.File, why: str) -> None:
        """Takes one more, if there may be."""
        self.note(file, why)
        self.refuse_many()

    def refuse_many(self) -> None:
        """Raises UserError if these are too many."""
        if len(self) > self._limit:
            raise errors.UserError(
                f"--data_dir: {self.told()}; repair or remove them, or allow more with --max_unreadable (now "
                f"{self._limit})"
            )

    def write(self) -> None:
        """Lists them in their file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(f"{line}\n" for line in self._lines), encoding="utf-8")

    def told(self) -> str:
        """How many there are, which is the first, and where all are listed, which is done."""
        self.write()
        return (
            f"{len(self)} of the {self._total:,} images of {self._root} cannot be read (the first: "
            f"{self._lines[0]}; all: {self._path})"
        )


@dataclasses.dataclass
class Checked:
    """Files that are all images of one kind, or are to become such.

    Attributes:
        class_names: by label.
        files: of each split, with what their headers say.
        size: (height, width) that all have or get.
        channels: that all have or get.
        unreadable: the others.
        bits: how many are used of those that images of 16 have.
    """

    class_names: tuple[str, ...]
    files: dict[str, list[tuple[listing.File, pixels.Header]]]
    size: tuple[int, int]
    channels: int
    unreadable: Unreadable
    bits: int = 16

    def refuse_empty(self, split: str, labels: set[int]) -> None:
        """Raises UserError if there are such classes of which no image of a split could be read."""
        if labels and split == "train":
            names = errors.some([self.class_names[label] for label in sorted(labels)])
            raise errors.UserError(
                f"--data_dir: no image of the class {names} can be read: {self.unreadable.told()}; repair "
                "them, or remove the class"
            )


def check(listed: listing.Listing, asked: Request, unreadable: Unreadable) -> Checked:
    """Reads the headers of all files.

    Raises:
        UserError: too many cannot be read, or they differ in size or channels and nobody said what they are
            to become.
    """
    total = sum(map(len, listed.files.values()))
    count = progress.Count("data: folder", total, "images looked at")
    files: dict[str, list[tuple[listing.File, pixels.Header]]] = {}
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for split, of_split in listed.files.items():
            files[split] = []
            for file, found in zip(of_split, pool.map(_header, of_split), strict=True):
                count.add()
                if isinstance(found, str):
                    unreadable.note(file, found)
                else:
                    files[split].append((file, found))
    unreadable.refuse_many()
    for split, readable in files.items():
        if not readable:
            raise errors.UserError(
                f"--data_dir: no image of {split} can be read: {unreadable.told()}; repair them, or remove "
                "the folder"
            )
    everything = [one for of_split in files.values() for one in of_split]
    size = asked.image_size or _only_size(listed.root, everything)
    channels = asked.channels or _only_channels(listed.root, everything)
    bits = _bits(listed.root, everything)
    checked = Checked(listed.class_names, files, size, channels, unreadable, bits)
    for split, readable in files.items():
        have = {file.label for file, _ in readable}
        checked.refuse_empty(split, set(range(len(listed.class_names))) - have)
    return checked


def _bits(root: pathlib.Path, files: list[tuple[listing.File, pixels.Header]]) -> int:
    """Return how many bits are used by images of 16, of which cameras of microscopes fill 10 to 14."""
    deep = [file.path for file, header in files if header.bits == 16]
    if not deep:
        return 16
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        most = max(pool.map(_largest, deep))
    bits = max(8, most.bit_length())
    if bits < 16:
        progress.say(
            f"data: folder: {len(deep):,} images of {root} have values of 16 bits, the largest of all is "
            f"{most:,}: taken for {bits} bits, of which the upper eight are kept"
        )
    return bits


def _largest(path: str) -> int:
    try:
        return pixels.largest(path)
    except pixels.UnreadableError:
        return 0  # it is left out where it is prepared


def _header(file: listing.File) -> pixels.Header | str:
    if file.size_bytes < 0:
        return "no file, or a link to none"
    try:
        return pixels.header(file.path)
    except pixels.UnreadableError as error:
        return str(error)


def _only_size(root: pathlib.Path, files: list[tuple[listing.File, pixels.Header]]) -> tuple[int, int]:
    counts = Counter(header.size for _, header in files)
    if len(counts) == 1:
        return next(iter(counts))
    examples = {header.size: file.path for file, header in reversed(files)}
    told = ", ".join(
        f"{size[0]}x{size[1]}: {count:,}, such as {examples[size]}"
        for size, count in counts.most_common(errors.NAMED)
    )
    raise errors.UserError(
        f"--image_size: the images of {root} have {len(counts):,} sizes ({told}); give the one to bring them "
        "to, such as --image_size=64"
    )


def _only_channels(root: pathlib.Path, files: list[tuple[listing.File, pixels.Header]]) -> int:
    counts = Counter(header.channels for _, header in files)
    if len(counts) == 1:
        return next(iter(counts))
    examples = {header.channels: file.path for file, header in reversed(files)}
    raise errors.UserError(
        f"--channels: {counts[1]:,} images of {root} are grey, such as {examples[1]}, and {counts[3]:,} have "
        f"colours, such as {examples[3]}; give --channels=3 or --channels=1"
    )
