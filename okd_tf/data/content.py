"""What images are told apart by, and the sums that their statistics come from; both are exact.

Both are of single images, so that an index of many can keep them, and a subset needs no image read again.
"""

import hashlib
import math

import numpy as np

FINGERPRINT_BYTES = 16
COUNTED = 1 << 22  # pixels whose values are counted at a time: NumPy makes eight bytes of each


def fingerprints(images: np.ndarray) -> np.ndarray:
    """A hash of each image: uint8 [images, height, width, channels] -> uint8 [images, FINGERPRINT_BYTES]."""
    size = FINGERPRINT_BYTES
    digests = [hashlib.blake2b(image.tobytes(), digest_size=size).digest() for image in images]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, size)


def moments(images: np.ndarray) -> np.ndarray:
    """The sums of each image's pixels and of their squares: int64 [images, 2, channels]."""
    values = images.reshape(len(images), -1, images.shape[-1]).astype(np.uint32)
    sums = values.sum(axis=1, dtype=np.int64), np.square(values).sum(axis=1, dtype=np.int64)
    return np.stack(sums, axis=1)


def totals(images: np.ndarray) -> np.ndarray:
    """`moments` of all images together, int64 [2, channels], in less time and memory: by counting values."""
    values, channels = np.arange(256), range(images.shape[-1])
    counts = np.zeros((len(channels), 256), np.int64)
    chunk_images = max(1, COUNTED // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), chunk_images):
        chunk = images[start : start + chunk_images]
        counts += [np.bincount(chunk[..., channel].ravel(), minlength=256) for channel in channels]
    return np.stack([counts @ values, counts @ np.square(values)])


def mean_and_deviation(totals: np.ndarray, pixels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, to four decimals.

    Args:
        totals: int64 [2, channels], sums of pixels and of their squares.
        pixels: how many each is a sum of.
    """
    mean, deviation = [], []
    for (
        total,
        squares,
    ) in totals.T.tolist():  # Python's integers: a square of a sum may need more than 64 bits
        mean.append(round(total / pixels, 4))
        # A channel of one value has no scale to divide by; 1 leaves it as it is.
        variance = (pixels * squares - total * total) / pixels**2
        deviation.append(round(max(math.sqrt(variance), 1.0), 4))
    return tuple(mean), tuple(deviation)
