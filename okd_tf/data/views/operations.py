"""Operations on whole batches of images, of the names, formulas and ranges of RandAugment.

Cubuk, Zoph, Shlens, Le, "RandAugment" (2020); each computes what Pillow's ImageOps, ImageEnhance and affine
transforms compute of one image, to a rounding. They take

    images uint8 [batch, height, width, channels] of 1 or 3 channels, and a level in [-1, 1]

and give images of the same shape and type. All arithmetic is of integers, so that an image comes out the same
in any batch and process; it is the same image at level 0 but for `autocontrast` and `equalize`, which have no
level.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

ONE = 1 << 16  # of numbers with 16 binary places
MOST_DEGREES = 30.0
MOST_SHEAR = 0.3
MOST_SHIFT = 150 / 331  # of the width or height, as in AutoAugment
MOST_ENHANCED = 0.9

Function = Callable[[tf.Tensor, float], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Operation:
    """A function with whether its level may also be negative, and is then something else."""

    function: Function
    signed: bool = True


def identity(images: tf.Tensor, level: float) -> tf.Tensor:
    """The images themselves."""
    del level
    return images


def autocontrast(images: tf.Tensor, level: float) -> tf.Tensor:
    """Stretches each channel of an image to all of 0..255: x -> 255 (x - least) / (most - least)."""
    del level
    pixels = tf.cast(images, tf.int32)
    least, most = (reduce(pixels, axis=[1, 2], keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    stretched = (pixels - least) * 255 // tf.maximum(most - least, 1)
    return tf.cast(tf.where(most > least, stretched, pixels), tf.uint8)


def equalize(images: tf.Tensor, level: float) -> tf.Tensor:
    """Makes all values of a channel about equally frequent; of 255 pixels and fewer it changes nothing.

    With n_j pixels of value j, and the step s = floor((sum_j n_j - n of the largest value) / 255),

        x -> min(255, floor((floor(s / 2) + sum_(j < x) n_j) / s)),

    and the image itself where s is 0.
    """
    del level
    shape = tf.shape(images)
    lists = shape[0] * shape[3]  # of values, one for each channel of each image
    values = tf.reshape(tf.transpose(tf.cast(images, tf.int32), [0, 3, 1, 2]), [lists, shape[1] * shape[2]])
    places = values + 256 * tf.range(lists)[:, tf.newaxis]
    counts = tf.math.unsorted_segment_sum(tf.ones_like(values), places, 256 * lists)
    counts = tf.reshape(counts, [lists, 256])
    largest = tf.gather(counts, tf.reduce_max(values, axis=1), batch_dims=1)
    step = ((shape[1] * shape[2] - largest) // 255)[:, tf.newaxis]
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((step // 2 + below) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256))
    found = tf.reshape(tf.gather(tf.reshape(table, [-1]), places), [shape[0], shape[3], shape[1], shape[2]])
    return tf.cast(tf.transpose(found, [0, 2, 3, 1]), tf.uint8)


def posterize(images: tf.Tensor, level: float) -> tf.Tensor:
    """Keeps the 8 - 4 level highest bits of each value."""
    dropped = round(4 * level)
    return tf.bitwise.bitwise_and(images, tf.constant(0xFF << dropped & 0xFF, tf.uint8))


def solarize(images: tf.Tensor, level: float) -> tf.Tensor:
    """Turns values from 256 (1 - level) on into 255 less them."""
    threshold = 256 - round(256 * level)
    return tf.where(tf.cast(images, tf.int32) >= threshold, 255 - images, images)


def color(images: tf.Tensor, level: float) -> tf.Tensor:
    """Moves an image from its grey one (which it is at -1 / 0.9), or to it; one of one channel is grey."""
    return _enhanced(images, _grey(images), level)


def contrast(images: tf.Tensor, level: float) -> tf.Tensor:
    """Moves all values from the mean grey of their image, or to it."""
    grey = tf.cast(_grey(images), tf.int64)
    pixels = tf.reduce_prod(tf.shape(grey, tf.int64)[1:])
    total = tf.reduce_sum(grey, axis=[1, 2, 3], keepdims=True)
    return _enhanced(images, tf.cast((2 * total + pixels) // (2 * pixels), tf.int32), level)


def brightness(images: tf.Tensor, level: float) -> tf.Tensor:
    """Moves all values from 0, or to it."""
    return _enhanced(images, tf.constant(0), level)


def sharpness(images: tf.Tensor, level: float) -> tf.Tensor:
    """Moves an image from its smoothed one, or to it.

    That is the weighted mean of each pixel, 5 times, and its 8 neighbours, but for those at the border.
    """
    pixels = tf.cast(images, tf.int32)
    around = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]])
    across = around[:, :, :-2] + around[:, :, 1:-1] + around[:, :, 2:]
    total = across[:, :-2] + across[:, 1:-1] + across[:, 2:] + 4 * pixels
    rows, columns = (tf.range(size) for size in (tf.shape(images)[1], tf.shape(images)[2]))
    within = [(one > 0) & (one < tf.size(one) - 1) for one in (rows, columns)]
    inside = (within[0][:, tf.newaxis] & within[1])[:, :, tf.newaxis]
    return _enhanced(images, tf.where(inside, (2 * total + 13) // 26, pixels), level)


def rotate(images: tf.Tensor, level: float) -> tf.Tensor:
    """Turns images about their middle, by up to 30 degrees; positive ones against the clock."""
    angle = math.radians(-MOST_DEGREES * level)
    return _warped(images, [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], True)


def shear_x(images: tf.Tensor, level: float) -> tf.Tensor:
    """Shifts each row by up to 0.3 times its distance from the upper edge."""
    return _warped(images, [[1.0, MOST_SHEAR * level], [0.0, 1.0]])


def shear_y(images: tf.Tensor, level: float) -> tf.Tensor:
    """Shifts each column by up to 0.3 times its distance from the left edge."""
    return _warped(images, [[1.0, 0.0], [MOST_SHEAR * level, 1.0]])


def translate_x(images: tf.Tensor, level: float) -> tf.Tensor:
    """Shifts images to the left by up to 0.45 of their width; negative levels to the right."""
    return _warped(images, [[1.0, 0.0], [0.0, 1.0]], shift=(MOST_SHIFT * level, 0.0))


def translate_y(images: tf.Tensor, level: float) -> tf.Tensor:
    """Shifts images up by up to 0.45 of their height; negative levels down."""
    return _warped(images, [[1.0, 0.0], [0.0, 1.0]], shift=(0.0, MOST_SHIFT * level))


OPERATIONS: dict[str, Operation] = {
    "identity": Operation(identity, signed=False),
    "autocontrast": Operation(autocontrast, signed=False),
    "equalize": Operation(equalize, signed=False),
    "posterize": Operation(posterize, signed=False),
    "solarize": Operation(solarize, signed=False),
    "color": Operation(color),
    "contrast": Operation(contrast),
    "brightness": Operation(brightness),
    "sharpness": Operation(sharpness),
    "rotate": Operation(rotate),
    "shear_x": Operation(shear_x),
    "shear_y": Operation(shear_y),
    "translate_x": Operation(translate_x),
    "translate_y": Operation(translate_y),
}


def _fixed(value: float) -> int:
    return round(value * ONE)


def _grey(images: tf.Tensor) -> tf.Tensor:
    """The luminance int32 [batch, height, width, 1] (ITU-R 601-2), of one channel its values."""
    pixels = tf.cast(images, tf.int32)
    if images.shape[-1] == 1:
        return pixels
    weighted = tf.reduce_sum(pixels * tf.constant([19595, 38470, 7471]), axis=-1, keepdims=True)
    return tf.bitwise.right_shift(weighted + ONE // 2, 16)


def _enhanced(images: tf.Tensor, plain: tf.Tensor, level: float) -> tf.Tensor:
    """Gives plain + (1 + 0.9 level) (image - plain), cut to 0..255 and rounded down; plain int32."""
    blended = plain * ONE + _fixed(1 + MOST_ENHANCED * level) * (tf.cast(images, tf.int32) - plain)
    return tf.cast(tf.bitwise.right_shift(tf.clip_by_value(blended, 0, 256 * ONE - 1), 16), tf.uint8)


def _warped(
    images: tf.Tensor,
    matrix: list[list[float]],
    about_middle: bool = False,
    shift: tuple[float, float] = (0.0, 0.0),
) -> tf.Tensor:
    """Images whose pixel at (x, y) is the one nearest to matrix (x, y) + shift, and 0 where there is none.

    Args:
        images: uint8 [batch, height, width, channels].
        matrix: [2, 2], of (x, y).
        about_middle: whether (x, y) are from the middle of the image, and not from its upper left corner.
        shift: in widths and heights.
    """
    shape = tf.shape(images, tf.int64)
    size = shape[2], shape[1]
    # Twice the distance of a pixel's middle from where x and y are 0 is a whole number.
    origin = size if about_middle else (0, 0)
    x = (2 * tf.range(size[0]) + 1 - origin[0])[tf.newaxis]
    y = (2 * tf.range(size[1]) + 1 - origin[1])[:, tf.newaxis]
    found = [
        tf.bitwise.right_shift(
            _fixed(to_x) * x + _fixed(to_y) * y + ONE * begin + 2 * _fixed(moved) * of,
            tf.constant(17, tf.int64),
        )
        for (to_x, to_y), begin, moved, of in zip(matrix, origin, shift, size, strict=True)
    ]
    inside = [(one >= 0) & (one < of) for one, of in zip(found, size, strict=True)]
    places = [tf.clip_by_value(one, 0, of - 1) for one, of in zip(found, size, strict=True)]
    pixels = tf.reshape(images, [shape[0], size[0] * size[1], shape[3]])
    moved_pixels = tf.gather(pixels, places[1] * size[0] + places[0], axis=1)
    kept = tf.cast(inside[0] & inside[1], tf.uint8)[:, :, tf.newaxis]
    return tf.ensure_shape(moved_pixels * kept, images.shape)
