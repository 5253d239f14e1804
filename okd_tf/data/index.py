"""What is known of the images of a prepared split without reading them: made once, and kept in a file."""

import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from okd_tf import files
from okd_tf.data import content, once
from okd_tf.sources.request import Request

FORMAT = 2


@dataclasses.dataclass(frozen=True)
class Index:
    """In the order of the records.

    Attributes:
        ids: int64 [images].
        labels: int32 [images].
        fingerprints: uint8 [images, content.FINGERPRINT_BYTES].
        moments: int64 [images, 2, channels], as `content.moments` gives it.
        thumbnails: uint8 [images, content.THUMBNAIL_SIDE**2].
    """

    ids: np.ndarray
    labels: np.ndarray
    fingerprints: np.ndarray
    moments: np.ndarray
    thumbnails: np.ndarray

    def is_whole(self) -> bool:
        """Whether its arrays are of one number of images, and of their types."""
        count = len(self.ids)
        shapes = {"ids": 1, "labels": 1, "fingerprints": 2, "moments": 3, "thumbnails": 2}
        kinds = {"ids": np.int64, "labels": np.int32, "moments": np.int64}
        arrays = {name: getattr(self, name) for name in shapes}
        widths = self.fingerprints.shape[-1], self.thumbnails.shape[-1]
        return widths == (content.FINGERPRINT_BYTES, content.THUMBNAIL_SIDE**2) and all(
            array.dtype == kinds.get(name, np.uint8) and array.ndim == shapes[name] and len(array) == count
            for name, array in arrays.items()
        )


def of(asked: Request, paths: Sequence[str], what: str, make: Callable[[], Index]) -> Index:
    """The index of files, kept in the folder of caches; made again once they are other ones, by one run.

    Args:
        asked: says which folder that is, and what the dataset is called on screen.
        paths: the files whose images are meant.
        what: which of their features.
        make: reads all images.

    Raises:
        UserError: it cannot be written, or what `make` raises.
    """
    path = asked.cache / "index" / f"{_key(paths, what)}.npz"
    found = _read(path)
    if found is None:
        with once.alone(path, asked.name):
            # Another run may have done it meanwhile.
            found = _read(path)
            if found is None:
                found = make()
                with files.replacing(path, "--cache_dir") as temporary, temporary.open("wb") as file:
                    np.savez(file, allow_pickle=False, **vars(found))
    return found


def _key(paths: Sequence[str], what: str) -> str:
    digest = hashlib.sha256(f"{FORMAT} {what}".encode())
    for path in paths:
        stat = os.stat(path)
        digest.update(f"\n{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _read(path: pathlib.Path) -> Index | None:
    """None for one that is not there, or is not whole: it is made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Index(**{field.name: arrays[field.name] for field in dataclasses.fields(Index)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.is_whole() else None
