"""What is asked of a dataset, whichever it is."""

import dataclasses
import os
import pathlib

RESIZE = ("crop", "stretch", "pad")  # how images come to a size; see `sizes`
CACHE_BYTES = 2 * 2**30


@dataclasses.dataclass(frozen=True)
class Request:
    """A dataset by its name, and how its images and labels are to be taken.

    Attributes:
        name: as --dataset says it: a key of `sources.KINDS`, or one with what it is of after a colon.
        data_dir: where prepared TFDS data lies, "" is TFDS's own folder; of `folder` the folder of images.
        download: whether what is not there may be fetched over the network.
        cache_dir: where prepared forms of data are kept; "" is `okd_tf` in the user's folder of caches.
        cache_bytes: images that take no more are held in memory, others are read as they are wanted.
        image_size: (height, width) that images are brought to; None is as they are.
        resize: of RESIZE, how.
        channels: that images are brought to, 1 or 3; 0 is as they are.
        image_key, label_key, id_key: features of a TFDS dataset, and arrays of an npz file; "" is the usual.
        train_split, val_split, test_split: of a TFDS dataset, by its names; "" is the usual.
        max_unreadable: how many files of a folder may be unreadable, and are left out.
        tiny_imagenet_zip: the original archive of TinyImageNet, or a cut of it.
    """

    name: str
    data_dir: str = ""
    download: bool = False
    cache_dir: str = ""
    cache_bytes: int = CACHE_BYTES
    image_size: tuple[int, int] | None = None
    resize: str = "crop"
    channels: int = 0
    image_key: str = ""
    label_key: str = ""
    id_key: str = ""
    train_split: str = ""
    val_split: str = ""
    test_split: str = ""
    max_unreadable: int = 10
    tiny_imagenet_zip: str = ""

    @property
    def kind(self) -> str:
        """The key of `sources.KINDS`."""
        return self.name.partition(":")[0]

    @property
    def of(self) -> str:
        """What the name has after the colon; "" if nothing."""
        return self.name.partition(":")[2]

    @property
    def cache(self) -> pathlib.Path:
        """Where prepared forms of data are kept."""
        caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        return pathlib.Path(self.cache_dir or pathlib.Path(caches) / "okd_tf")
