"""Fingerprints of images, and the exact sums that their statistics are computed from.

Each is of a single image, so that an index of many can keep them, and a subset needs no image read again.
"""

import hashlib
import math

import numpy as np

FINGERPRINT_BYTES = 16
THUMBNAIL_SIDE = 8  # pixels
_LUMA = np.array([299.0, 587.0, 114.0])  # thousandths, ITU-R BT.601
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


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Reduce images to grey ones of THUMBNAIL_SIDE pixels a side.

    Args:
        images: uint8 [images, height, width, channels].

    Returns:
        uint8 [images, THUMBNAIL_SIDE**2].
    """
    chunk_images = max(1, COUNTED // math.prod(images.shape[1:]))
    grey = np.empty((len(images), THUMBNAIL_SIDE, THUMBNAIL_SIDE, 1), np.uint8)
    for start in range(0, len(images), chunk_images):
        chunk = images[start : start + chunk_images]
        if chunk.shape[-1] == 3:
            grey[start : start + chunk_images] = reduced(chunk @ _LUMA[:, np.newaxis], THUMBNAIL_SIDE, 1000)
        else:
            grey[start : start + chunk_images] = reduced(chunk, THUMBNAIL_SIDE)
    return grey.reshape(len(images), -1)


def reduced(images: np.ndarray, side: int, scale: int = 1) -> np.ndarray:
    """Reduce images to `side` pixels a side, each the mean of the area that it covers.

    Args:
        images: whole numbers up to 255 * scale, of any type, [images, height, width, channels].
        side: of the result, pixels; what is smaller is enlarged.
        scale: what images are divided by.

    Returns:
        uint8 [images, side, side, channels], rounded.
    """
    height, width, channels = images.shape[1:]
    # Products and sums of whole numbers below 2**53, so exact in any order.
    rows, columns = _overlaps(height, side), _overlaps(width, side)
    planes = np.moveaxis(images, 3, 1).astype(np.float64)
    sums = rows @ planes @ columns.T
    means = np.rint(sums / (height * width * scale)).astype(np.uint8)
    return np.moveaxis(means.reshape(len(images), channels, side, side), 1, 3)


def _overlaps(size: int, side: int) -> np.ndarray:
    """Return how much of each of `size` pixels lies in each of `side` equal cells, in 1 / side of a pixel.

    The result is [side, size], and each row sums to `size`.
    """
    pixel, cell = np.arange(size) * side, np.arange(side)[:, np.newaxis] * size
    shared = np.minimum(pixel + side, cell + size) - np.maximum(pixel, cell)
    return np.maximum(shared, 0).astype(np.float64)


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
