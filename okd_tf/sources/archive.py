"""What is in the archive of TinyImageNet: its classes, and which of its files are images of which.

The archive is read in place. A cut of it, with fewer images of each class, is as good; ids and labels come
from the names of files and are the same in both.
"""

import contextlib
import dataclasses
import itertools
import lzma
import pathlib
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator

from okd_tf import errors

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SHA256 = "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
CLASSES = 200
TRAIN_PER_CLASS, TEST_PER_CLASS = 500, 50  # of the original

_IDS_PER_CLASS = 1000
_TRAIN = re.compile(r"train/(?P<wnid>[^/]+)/images/(?P<owner>[^/]+)_(?P<number>[0-9]{1,3})\.JPEG")
_VAL = re.compile(r"val/images/(?P<name>val_(?P<number>[0-9]{1,9})\.JPEG)")


@dataclasses.dataclass(frozen=True)
class Image:
    """An image in the archive: its id within its split, its name there, the index of its class."""

    id: int
    member: str
    label: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive has.

    Attributes:
        wnids: of WordNet, the classes in the order of their labels.
        class_names: their first words there; followed by the wnid where two classes have the same.
        train: its training images, ascending by id: 1000 times the label and the number in the name.
        test: its labelled validation images, ascending by id: the number in the name.
    """

    wnids: tuple[str, ...]
    class_names: tuple[str, ...]
    train: tuple[Image, ...]
    test: tuple[Image, ...]


class Archive:
    """An open archive; its errors are lines that begin with what it is called."""

    def __init__(self, path: pathlib.Path, called: str):
        """Opens a zip file.

        Raises:
            UserError: it is not there, or is no whole zip file.
        """
        self._called = called
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError):
            raise self._error("is no zip file, or is cut short", f"get it again from {URL}") from None
        except OSError as error:
            raise self._error(
                f"cannot be read: {error.strerror or error}", "name tiny-imagenet-200.zip"
            ) from None

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def read(self, member: str) -> bytes:
        """The bytes of a member, whose checksum is right.

        Raises:
            UserError: they are damaged, or cannot be read.
        """
        try:
            return self._zip.read(member)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror or error}", "see to its disk") from None
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError) as error:
            raise self.damaged(member, str(error) or type(error).__name__) from None

    def damaged(self, member: str, why: str) -> errors.UserError:
        """The error for a member that is not what it should be."""
        return self._error(f"{member} is damaged ({why})", f"get the archive again from {URL}")

    def contents(self) -> Contents:
        """What is in the archive.

        Raises:
            UserError: it is not of TinyImageNet, or something is missing.
        """
        names = self._zip.namelist()
        root = next(
            (name[: -len("wnids.txt")] for name in names if re.fullmatch(r"([^/]+/)?wnids\.txt", name)), None
        )
        if root is None:
            raise self._error("has no wnids.txt, as TinyImageNet has", "give tiny-imagenet-200.zip")
        here = {name[len(root) :]: name for name in names if name.startswith(root)}
        wnids = tuple(sorted(set(self._lines(here, "wnids.txt"))))
        if len(wnids) != CLASSES:
            raise self._error(
                f"wnids.txt names {len(wnids)} classes, and TinyImageNet has {CLASSES}",
                "give tiny-imagenet-200.zip",
            )
        words = dict(line.partition("\t")[::2] for line in self._lines(here, "words.txt"))
        labels = {wnid: label for label, wnid in enumerate(wnids)}
        return Contents(
            wnids, self._class_names(wnids, words), self._train(here, labels), self._test(here, labels)
        )

    def _class_names(self, wnids: tuple[str, ...], words: dict[str, str]) -> tuple[str, ...]:
        first = [words.get(wnid, "").split(",")[0].strip() for wnid in wnids]
        for wnid, name in zip(wnids, first, strict=True):
            if not name:
                raise self._error(
                    f"words.txt has no words for {wnid} of wnids.txt", f"get it again from {URL}"
                )
        often = Counter(first)
        return tuple(
            name if often[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(first, wnids, strict=True)
        )

    def _train(self, here: dict[str, str], labels: dict[str, int]) -> tuple[Image, ...]:
        found = []
        for name, member in here.items():
            if not name.startswith("train/") or not name.endswith(".JPEG"):
                continue
            match = _TRAIN.fullmatch(name)
            if not match or match["owner"] != match["wnid"]:
                raise self._error(
                    f"{member}: no name of a training image", "expected train/WNID/images/WNID_0.JPEG"
                )
            if match["wnid"] not in labels:
                raise self._error(f"{member}: its class is not in wnids.txt", f"get it again from {URL}")
            label = labels[match["wnid"]]
            found.append(Image(label * _IDS_PER_CLASS + int(match["number"]), member, label))
        return self._in_order(found, "training", labels)

    def _test(self, here: dict[str, str], labels: dict[str, int]) -> tuple[Image, ...]:
        classes = {}
        for line in self._lines(here, "val/val_annotations.txt"):
            name, wnid = (*line.split("\t"), "", "")[:2]
            if wnid not in labels:
                raise self._error(
                    f"val/val_annotations.txt gives {name[:40]} the class '{wnid[:40]}', which is not in "
                    "wnids.txt",
                    f"get it again from {URL}",
                )
            classes[name] = labels[wnid]
        found = []
        for name, member in here.items():
            if not name.startswith("val/images/") or not name.endswith(".JPEG"):
                continue
            match = _VAL.fullmatch(name)
            if not match:
                raise self._error(
                    f"{member}: no name of a validation image", "expected val/images/val_0.JPEG"
                )
            if match["name"] not in classes:
                raise self._error(
                    f"{member}: val/val_annotations.txt does not say its class", f"get it again from {URL}"
                )
            found.append(Image(int(match["number"]), member, classes[match["name"]]))
        return self._in_order(found, "labelled validation", labels)

    def _in_order(self, found: list[Image], what: str, labels: dict[str, int]) -> tuple[Image, ...]:
        found.sort(key=lambda image: image.id)
        for one, other in itertools.pairwise(found):
            if one.id == other.id:
                raise self._error(
                    f"{one.member} and {other.member} are one image twice", f"get it again from {URL}"
                )
        have = {image.label for image in found}
        missing = [wnid for wnid, label in labels.items() if label not in have]
        if missing:
            raise self._error(
                f"has no {what} image of {len(missing)} of {CLASSES} classes (first: {missing[0]})",
                "each needs one at least",
            )
        return tuple(found)

    def _lines(self, here: dict[str, str], name: str) -> list[str]:
        if name not in here:
            raise self._error(f"has no {name}", f"get it again from {URL}")
        try:
            lines = self.read(here[name]).decode().splitlines()
        except UnicodeDecodeError:
            raise self.damaged(here[name], "no text") from None
        return [line for line in lines if line.strip()]

    def _error(self, what: str, mend: str) -> errors.UserError:
        return errors.UserError(f"{self._called}: {what}; {mend}")


@contextlib.contextmanager
def opened(path: pathlib.Path, called: str) -> Iterator[Archive]:
    """An archive for a while."""
    archive = Archive(path, called)
    try:
        yield archive
    finally:
        archive.close()
