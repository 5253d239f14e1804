"""A cache on the disk for the partial results of a long computation.

A run that was killed finds the parts it had finished, and computes only the others.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import errors, files, json_file


class Kept:
    """A result cache in a folder; a result that cannot be read is computed again."""

    def __init__(self, folder: files.PathLike, of: Any):
        """Create the cache.

        Args:
            folder: a folder of its own.
            of: JSON value that identifies the computation; results stored under another value are not found.
        """
        self._folder = pathlib.Path(folder)
        self._of = of

    def array(self, part: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array of a part; call `make` and store its result only if it is not cached."""
        path = self._path(part, ".npy")
        try:
            # np.load would open archives too.
            with path.open("rb") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            made = make()
        with files.replacing(path) as temporary:
            np.save(temporary, made, allow_pickle=False)
        return made

    def value(
        self, part: str, make: Callable[[], Any], holds: Callable[[Any], bool] = lambda value: True
    ) -> Any:
        """Return the JSON value of a part; call `make` if it is not cached or `holds(value)` is false."""
        path = self._path(part, ".json")
        try:
            found = json_file.read(path)
            if holds(found):
                return found
        except (errors.UserError, TypeError, KeyError):
            pass
        made = make()
        json_file.write(path, made)
        return made

    def forget(self) -> None:
        """Clear the cache, once the final result is written."""
        files.remove(self._folder)

    def _path(self, part: str, suffix: str) -> pathlib.Path:
        key = json.dumps([self._of, part], sort_keys=True)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"
