"""TinyImageNet (Stanford CS231n): 200 classes of ImageNet at 64x64, from its archive or a cut of that.

Its labelled validation images are the test split, since its test images have no labels. What was prepared of
one archive is never mistaken for another's: each has a folder of its own, named by the archive's checksum.
"""

import contextlib
import pathlib
from typing import Any

from okd_tf import errors, fields, files, json_file, progress
from okd_tf.data import examples, once, request, tfds_sets
from okd_tf.data.tiny_imagenet import archive

NAME = "tiny_imagenet"
VERSION = "1.0.0"  # of the builder; another gives what is prepared another folder
FULL = "full"  # what is prepared of the original archive


def load(asked: request.Request) -> examples.Source:
    """The images as a source; see `builder`."""
    return tfds_sets.of(builder(asked), asked, NAME)


def builder(asked: request.Request) -> Any:
    """Prepares TinyImageNet, or finds it prepared; splits "train" and "test".

    Its `info.metadata` has "images_per_class" ({split: [fewest, most]}), "complete" (whether these are the
    original's) and "wnids".

    Raises:
        UserError: there is nothing to prepare it from, or what there is is damaged.
    """
    root = asked.cache / NAME
    path = asked.tiny_imagenet_zip
    config = _config(pathlib.Path(path), root) if path else FULL
    folder = f"{NAME}/{config}/{VERSION}"

    def make(data_dir: str) -> Any:
        # Here and not above: it imports TFDS, which takes seconds.
        from okd_tf.data.tiny_imagenet import tiny_imagenet_dataset_builder as definition

        called = f"--tiny_imagenet_zip: {path}" if path else ""
        return definition.Builder(
            config=definition.Config(name=config, path=path, called=called),
            data_dir=data_dir,
            file_format="array_record",
        )

    if not path and not asked.download and once.find(asked, folder) is None:
        raise errors.UserError(
            f"--tiny_imagenet_zip: no complete TinyImageNet is prepared in {root}; give the path of "
            f"tiny-imagenet-200.zip ({archive.URL}) or of a cut of it, or allow --download"
        )
    found = once.prepared(asked, folder, make, None if path else asked.cache / "downloads")
    progress.say(f"data: {NAME}: {_described(found)}")
    return found


def _config(path: pathlib.Path, root: pathlib.Path) -> str:
    """What is prepared of an archive is called by its checksum."""
    checksum = _checksum(path.absolute(), root / "archives.json")
    return FULL if checksum == archive.SHA256 else f"zip_{checksum[:8]}"


def _checksum(path: pathlib.Path, notes: pathlib.Path) -> str:
    """The SHA-256 of an archive, which is noted: computed again only if its size or time changes.

    One that is gone since it was prepared is the one that it was.
    """
    known = _known(notes)
    before = known.get(str(path), ("", 0, 0))
    try:
        status = path.stat()
        if before[1:] == (status.st_size, status.st_mtime_ns):
            return before[0]
        checksum = files.sha256(path) if path.is_file() else ""
    except FileNotFoundError:
        if before[0]:
            return before[0]
        raise _no_archive(path, "no such file") from None
    except OSError as error:
        raise _no_archive(path, f"cannot be read: {error.strerror}") from None
    if not checksum:
        raise _no_archive(path, "is not a file")
    known[str(path)] = (checksum, status.st_size, status.st_mtime_ns)
    # Where nothing can be written, what is prepared can still be read.
    with contextlib.suppress(errors.UserError):
        json_file.write(notes, known)
    return checksum


def _known(notes: pathlib.Path) -> dict[str, tuple[str, int, int]]:
    """What was noted: (checksum, size in bytes, time of change) by path; nothing if that is damaged."""
    try:
        noted = {path: entry.items(3) for path, entry in fields.read(notes).entries().items()}
        return {
            path: (checksum.text(), size.whole(), time.whole())
            for path, (checksum, size, time) in noted.items()
        }
    except errors.UserError:
        return {}


def _no_archive(path: pathlib.Path, why: str) -> errors.UserError:
    return errors.UserError(
        f"--tiny_imagenet_zip: {path}: {why}; give the path of tiny-imagenet-200.zip ({archive.URL}), "
        "or of a cut of it"
    )


def _described(found: Any) -> str:
    """How many images there are, and whether that is all."""
    sizes = {part: found.info.splits[part].num_examples for part in ("train", "test")}
    least, most = zip(*(found.info.metadata["images_per_class"][part] for part in sizes), strict=True)
    each = [f"{low}" if low == high else f"{low} to {high}" for low, high in zip(least, most, strict=True)]
    told = f"{sizes['train']:,} training and {sizes['test']:,} test images, "
    told += f"{each[0]} and {each[1]} of each class"
    if found.info.metadata["complete"]:
        return told
    return f"{told}; a cut: the original has {archive.TRAIN_PER_CLASS} and {archive.TEST_PER_CLASS}"
