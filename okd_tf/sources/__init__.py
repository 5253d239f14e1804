"""The kinds of datasets there are, what each can be asked, and whether what is asked for is there.

Nothing here imports TensorFlow, which takes seconds: a wrong name, a folder without images or a label key
that no dataset has is refused before. What is there is read by `okd_tf.data`, which has a loader of each.
A kind is one line below: what looks for it, and which fields of a request mean something to it.
"""

import dataclasses
from collections.abc import Callable

from okd_tf import errors
from okd_tf.sources import catalogue, listing, npz, tiny_imagenet
from okd_tf.sources.request import Request

GIVEN = "arrays"  # in place of a kind: those that come from Python
SIZE = {"image_size", "resize", "channels"}
_TFDS = {*SIZE, "data_dir", "download", "label_key"}
_SPLITS = {"train_split", "val_split", "test_split"}
_ALWAYS = {"name", "cache_dir", "cache_bytes", "data_dir", "download"}  # of a host, or without harm


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of dataset.

    Attributes:
        look: raises UserError if what is asked for is not there, or cannot be used, as far as it is seen
            without reading images.
        takes: the fields of a request that mean something to it.
        after_colon: what its name says after a colon; "" is nothing.
    """

    look: Callable[[Request], None]
    takes: set[str]
    after_colon: str = ""


def _nothing(asked: Request) -> None:
    """Of what comes with a package."""


KINDS = {
    "digits": Kind(_nothing, SIZE),
    "cifar10": Kind(catalogue.look, _TFDS),
    "cifar100": Kind(catalogue.look, _TFDS),
    "tiny_imagenet": Kind(tiny_imagenet.look, {*SIZE, "download", "tiny_imagenet_zip"}),
    "folder": Kind(listing.look, {*SIZE, "data_dir", "max_unreadable"}),
    "tfds": Kind(catalogue.look, {*_TFDS, *_SPLITS, "image_key", "id_key"}, "NAME"),
    "npz": Kind(npz.look, {*SIZE, "image_key", "label_key", "id_key"}, "FILE"),
}


def look(asked: Request) -> None:
    """Raises UserError where it is seen without reading images that a request cannot be met."""
    check(asked)
    KINDS[asked.kind].look(asked)


def check(asked: Request) -> None:
    """Raises UserError where a request can be seen to be wrong without any data."""
    if asked.kind == GIVEN:
        raise errors.UserError(
            f"--dataset: '{GIVEN}' are given from Python, as pipeline.run(..., source=...); name a "
            "file of them as npz:FILE"
        )
    if asked.kind not in KINDS:
        raise errors.unknown("--dataset", asked.kind, KINDS)
    if ":" in asked.name and not KINDS[asked.kind].after_colon:
        after = " and ".join(f"{name}:{kind.after_colon}" for name, kind in KINDS.items() if kind.after_colon)
        raise errors.UserError(
            f"--dataset: {asked.name}: only {after} have something after a colon; give {asked.kind} alone"
        )
    check_fields(asked, asked.name, KINDS[asked.kind].takes)


def check_fields(asked: Request, whose: str, takes: set[str]) -> None:
    """Raises UserError for a field that is given and means nothing to what is called `whose`."""
    usual = Request(asked.name)
    for field in dataclasses.fields(Request):
        differs = getattr(asked, field.name) != getattr(usual, field.name)
        if differs and field.name not in {*takes, *_ALWAYS}:
            takers = [name for name, kind in KINDS.items() if field.name in kind.takes]
            raise errors.UserError(
                f"--{field.name} requires a --dataset of {', '.join(takers)} (got {whose}); leave it out"
            )
