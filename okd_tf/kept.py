"""Results of the parts of a long piece of work, kept on the disk until the whole is done.

A run that was killed finds those of the parts it had finished, and does only the others.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from okd_tf import errors, files, json_file


class Kept:
    """A folder of results; what cannot be read is made again."""

    def __init__(self, folder: files.PathLike, of: Any):
        """Takes a folder of its own, and what the work is of, as JSON; of anything else nothing is found."""
        self._folder = pathlib.Path(folder)
        self._of = of

    def array(self, part: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a part, made only if it is not there."""
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
        """The value of a part, JSON, made only if it is not there or does not hold any more."""
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
        """Removes all results, when they are in what was made of them."""
        files.remove(self._folder)

    def _path(self, part: str, suffix: str) -> pathlib.Path:
        key = json.dumps([self._of, part], sort_keys=True)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"
