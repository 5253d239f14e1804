"""Images that show the same: copies, pixel by pixel, and near copies, such as one saved anew or brightened.

A near copy is found in two steps, by correlations from which brightness and contrast fall out. The small
grey form of each image (`Examples.thumbnails`) is compared with all others at once, as a product of matrices;
of each image the nearest few are then read and compared at DETAIL pixels a side, in colour. Row and column
means are taken out first ("interaction"): all pictures of sky over land have those in common.

The limits were chosen by looking at pairs of training and test images of CIFAR-100: above them nearly all are
of one camera shot, and the others show one kind of object on the same background. Handwriting of 8x8 pixels
is as near to that of other hands, so images below LEAST_SIDE are not compared; those of one channel say less,
and are held to more.
"""

import dataclasses

import numpy as np

from okd_tf import progress
from okd_tf.data import content, examples

LEAST_SIDE = 16  # pixels: of smaller images many are near to others that they are no copies of
DETAIL = 16  # pixels a side of the second step
LEAST_DEVIATION = 4.0  # grey levels of the interaction: flatter images are of no more than noise
NEAREST = 8  # images that are looked at more closely, for each
_BLOCK = 1 << 24  # correlations computed at a time: 64 MiB
_READ = 512  # pairs of images compared closely at a time


@dataclasses.dataclass(frozen=True)
class Limits:
    """The least correlations of a near copy.

    Attributes:
        small: of the interactions of the grey thumbnails.
        interaction: of those at DETAIL pixels, in all channels.
        plain: of these images as they are.
    """

    small: float
    interaction: float
    plain: float


COLOUR, GREY = Limits(0.95, 0.90, 0.93), Limits(0.98, 0.98, 0.98)


def exact(images: examples.Examples, others: examples.Examples) -> np.ndarray:
    """Return which images are among others, pixel by pixel: bool [images]."""
    there = set(map(bytes, others.fingerprints))
    return np.array([bytes(each) in there for each in images.fingerprints], bool)


def near(images: examples.Examples, others: examples.Examples) -> np.ndarray:
    """Return which of others each image is a near copy of, exact copies included.

    Flat images, and those below LEAST_SIDE pixels, are taken for copies of none.

    Args:
        images: some examples.
        others: of the same shape.

    Returns:
        int64 [images], positions in `others` (of the nearest), -1 where there is none.
    """
    found = np.full(len(images), -1)
    height, width, channels = images.images.shape[1:]
    if min(height, width) < LEAST_SIDE:
        return found
    limits = COLOUR if channels == 3 else GREY
    rows, columns = _candidates(images.thumbnails, others.thumbnails, limits.small)
    best = np.full(len(images), -np.inf)
    for start in range(0, len(rows), _READ):
        row, column = rows[start : start + _READ], columns[start : start + _READ]
        one, other = _detail(images, row), _detail(others, column)
        plain = _correlation(one.reshape(len(row), -1), other.reshape(len(row), -1))
        finer = _correlation(*(_interaction(each).reshape(len(row), -1) for each in (one, other)))
        for index in np.flatnonzero((plain >= limits.plain) & (finer >= limits.interaction)):
            if plain[index] > best[row[index]]:
                best[row[index]], found[row[index]] = plain[index], column[index]
    return found


def _candidates(thumbnails: np.ndarray, others: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs worth a closer look: positions int64 [pairs] in each, ascending in the first."""
    one, other = _units(thumbnails), _units(others)
    step = max(1, _BLOCK // max(1, len(other)))
    rows, columns = [], []
    count = progress.Count("data: near copies", len(one), "images compared")
    for start in range(0, len(one), step):
        correlations = one[start : start + step] @ other.T
        for row in np.flatnonzero(correlations.max(axis=1, initial=-1) >= least):
            # Rounded, so that the order of sums in a product of matrices does not choose among equals.
            close = np.flatnonzero(correlations[row] >= least)
            ranked = np.argsort(-np.round(correlations[row, close], 3), kind="stable")[:NEAREST]
            rows += [start + row] * len(ranked)
            columns += close[ranked].tolist()
        count.add(min(step, len(one) - start))
    return np.array(rows, np.int64), np.array(columns, np.int64)


def _units(thumbnails: np.ndarray) -> np.ndarray:
    """Return interactions of length 1, float32 [images, pixels]; zeros for flat images."""
    side = content.THUMBNAIL_SIDE
    units = np.zeros(thumbnails.shape, np.float32)
    for start in range(0, len(units), 1 << 16):
        chunk = thumbnails[start : start + (1 << 16)].reshape(-1, side, side, 1).astype(np.int64)
        values = _interaction(chunk).reshape(len(chunk), -1) / side**2
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        lengths[lengths < LEAST_DEVIATION * side] = np.inf
        units[start : start + (1 << 16)] = values / lengths
    return units


def _detail(images: examples.Examples, rows: np.ndarray) -> np.ndarray:
    """Return images of DETAIL pixels a side: int64 [rows, DETAIL, DETAIL, channels]."""
    unique, places = np.unique(rows, return_inverse=True)
    return content.reduced(images.images[unique], DETAIL).astype(np.int64)[places]


def _interaction(images: np.ndarray) -> np.ndarray:
    """Return images less their row means and column means, times their pixels: int64, of the same shape.

    Each channel by itself: rows * columns * (x - mean of its row - mean of its column + mean of all).
    """
    height, width = images.shape[1:3]
    of_rows, of_columns = images.sum(axis=2, keepdims=True), images.sum(axis=1, keepdims=True)
    total = of_rows.sum(axis=1, keepdims=True)
    return height * width * images - height * of_rows - width * of_columns + total


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each row of two arrays int64 [pairs, values]; 0 of a constant one."""
    one, other = (each.shape[1] * each - each.sum(axis=1, keepdims=True) for each in (one, other))
    one, other = one.astype(np.float64), other.astype(np.float64)
    product = np.sqrt(np.square(one).sum(axis=1) * np.square(other).sum(axis=1))
    return (one * other).sum(axis=1) / np.where(product > 0, product, np.inf)
