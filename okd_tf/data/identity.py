"""An id for each example that does not change when a dataset is stored in another order."""

import hashlib
import re

import numpy as np


def given(names: np.ndarray) -> np.ndarray:
    """An id for each example, from what its dataset calls it.

    Args:
        names: [examples] whole numbers; or names as bytes, whose last number is the id where all have one of
            their own, and else a hash of the name.

    Returns:
        int64 [examples], 0 or more.

    Raises:
        ValueError: two examples of one id.
        TypeError: neither numbers nor names.
    """
    if np.issubdtype(names.dtype, np.integer):
        ids = names.astype(np.int64)
    else:
        numbers = [re.search(rb"(\d{1,18})$", name) for name in names]
        ids = np.array([int(number[1]) if number else -1 for number in numbers], np.int64)
        if ids.min() < 0 or len(np.unique(ids)) < len(ids):
            ids = np.array(list(map(hashed, names)), np.int64)
    if len(np.unique(ids)) < len(ids) or ids.min() < 0:
        raise ValueError("two examples of one id, or one below 0")
    return ids


def shown(fingerprints: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """An id for each example, from what it shows; copies are told apart by their number.

    Args:
        fingerprints: uint8 [examples, bytes], of the images.
        labels: int32 [examples].

    Returns:
        int64 [examples], 0 or more.
    """
    seen: dict[bytes, int] = {}
    names = []
    for fingerprint, label in zip(fingerprints, labels.tolist(), strict=True):
        content = fingerprint.tobytes() + label.to_bytes(4, "little")
        seen[content] = seen.get(content, -1) + 1
        names.append(content + seen[content].to_bytes(4, "little"))
    return np.array(list(map(hashed, names)), np.int64)


def hashed(name: bytes) -> int:
    """A number of 63 bits."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") >> 1
