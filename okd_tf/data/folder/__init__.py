"""A folder of the user's own images, of a form that `sources.layout` knows.

It is prepared once, at its size and with its channels. What is prepared is named by a hash of all that
decides it: files by name, size and time, and what was asked. If any of that changes, it is prepared anew.
"""

import hashlib
import json
import os
import pathlib
from typing import Any

from okd_tf import errors, progress
from okd_tf.data import examples, once, tfds_sets
from okd_tf.data.folder import checking
from okd_tf.sources import listing
from okd_tf.sources.request import Request

NAME = "folder"
VERSION = "1.1.0"  # of the builder; another gives what is prepared another folder


def load(asked: Request) -> examples.Source:
    """The images as a source; see `builder`."""
    return tfds_sets.of(builder(asked), asked, NAME)


def builder(asked: Request) -> Any:
    """Prepares the images of `asked.data_dir`, or finds them prepared.

    Splits are "train" and, where there are such folders, "val" and "test". An example's id is a hash of its
    file's name below the folder of its split.

    Raises:
        UserError: the folder or its images cannot be used; says which and why.
    """
    listed = listing.read(listing.root(asked))
    config = _config(listed, asked)
    list_of_unreadable = asked.cache / NAME / config / "unreadable.txt"

    def make(data_dir: str) -> Any:
        # Here and not above: what TFDS takes to import is spared where all is prepared.
        from okd_tf.data.folder import folder_dataset_builder as definition

        _tell_ignored(listed)
        unreadable = checking.Unreadable(listed, asked.max_unreadable, list_of_unreadable)
        checked = checking.check(listed, asked, unreadable)
        return definition.Builder(
            config=definition.Config(name=config, checked=checked, resize=asked.resize),
            data_dir=data_dir,
            file_format="array_record",
        )

    found = once.prepared(asked, f"{NAME}/{config}/{VERSION}", make)
    _tell(listed, found, list_of_unreadable)
    return found


def _config(listed: listing.Listing, asked: Request) -> str:
    """A name for what is prepared of these files in this way."""
    files = {
        split: [[file.name, file.size_bytes, file.time_ns] for file in of_split]
        for split, of_split in listed.files.items()
    }
    how = [asked.image_size, asked.resize if asked.image_size else "", asked.channels, asked.max_unreadable]
    everything = json.dumps([listed.class_names, files, how])
    return hashlib.sha256(everything.encode()).hexdigest()[:16]


def _tell_ignored(listed: listing.Listing) -> None:
    if listed.ignored:
        progress.say(f"data: {NAME}: of {listed.root} not read: {listing.kinds(listed.ignored)}")
    for split, names in listed.missing().items():
        progress.say(
            f"warning: {listed.root}: {split} has no image of {len(names)} of {len(listed.class_names)} "
            f"classes: {errors.some(names)}; accuracies on it say nothing of these"
        )
    single = listed.single()
    if single:
        progress.say(
            f"data: {NAME}: {len(single)} of {len(listed.class_names)} classes have a single training image, "
            f"which no two splits can have: {errors.some(single)}"
        )


def _tell(listed: listing.Listing, found: Any, list_of_unreadable: pathlib.Path) -> None:
    sizes = ", ".join(f"{split} {info.num_examples:,}" for split, info in found.info.splits.items())
    left_out = found.info.metadata["unreadable"]
    why = ""
    if left_out:
        why = (
            f"; {left_out} cannot be read and are left out: {list_of_unreadable} (delete its folder to have "
            "them tried again)"
        )
    progress.say(f"data: {NAME}: {listed.root}, {len(listed.class_names)} classes, images: {sizes}{why}")


def names(asked: Request) -> dict[str, dict[int, str]]:
    """Return what each image's file is called below `asked.data_dir`, by its part and id.

    Raises:
        UserError: the folder cannot be read.
    """
    listed = listing.read(listing.root(asked))
    return {
        split: {file.id: os.path.relpath(file.path, listed.root) for file in of_split}
        for split, of_split in listed.files.items()
    }
