"""An id for each example that does not change when a dataset is stored in another order."""

import hashlib
import re

import numpy as np


def of(given: np.ndarray | None, fingerprints: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    """An id for each example, from what the dataset calls them, or from what they show.

    Args:
        given: [examples] whole numbers; or names as bytes, whose last number is the id where all have one of
            their own, and else a hash of the name.
        fingerprints: uint8 [examples, bytes], where nothing is given; copies are told apart by their number.
        labels: int32 [examples].

    Returns:
        int64 [examples], 0 or more.

    Raises:
        ValueError: two examples of one id.
    """
    if given is None:
        assert fingerprints is not None
        seen: dict[bytes, int] = {}
        names = []
        for fingerprint, label in zip(fingerprints, labels.tolist(), strict=True):
            shown = fingerprint.tobytes() + label.to_bytes(4, "little")
            seen[shown] = seen.get(shown, -1) + 1
            names.append(shown + seen[shown].to_bytes(4, "little"))
        ids = np.array(list(map(hashed, names)), np.int64)
    elif np.issubdtype(given.dtype, np.integer):
        ids = given.astype(np.int64)
    else:
        numbers = [re.search(rb"(\d{1,18})$", name) for name in given]
        ids = np.array([int(number[1]) if number else -1 for number in numbers], np.int64)
        if ids.min() < 0 or len(np.unique(ids)) < len(ids):
            ids = np.array(list(map(hashed, given)), np.int64)
    if len(np.unique(ids)) < len(ids) or ids.min() < 0:
        raise ValueError("two examples of one id, or one below 0")
    return ids


def hashed(name: bytes) -> int:
    """A number of 63 bits."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") >> 1
