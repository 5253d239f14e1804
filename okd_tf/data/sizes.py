"""Images brought to a size: by cropping what is too long, by stretching, or by filling up with black."""

from typing import TypeAlias

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import request

Image: TypeAlias = np.ndarray | tf.Tensor


def fit(image: Image, size: tuple[int, int], policy: str) -> tf.Tensor:
    """Brings images to a size, bilinear with antialiasing, rounded to whole values.

    Args:
        image: uint8 [height, width, channels] or [batch, height, width, channels], of known shape; one that
            is of this size is given back as it is, to the bit.
        size: (height, width) wanted.
        policy: "crop": scaled until the shorter side fits, of the longer the middle is kept; "stretch": each
            side for itself; "pad": scaled until the longer side fits, zeros on both sides of the shorter.
            Where an odd number of rows or columns is cut or filled, the smaller half is at the top or left.

    Returns:
        uint8 [size[0], size[1], channels], or a batch of these.

    Raises:
        UserError: a policy that is none of these.
    """
    if policy not in request.RESIZE:
        raise errors.unknown("--resize", policy, request.RESIZE)
    image = tf.convert_to_tensor(image)
    height, width = image.shape[-3:-1]
    if (height, width) == size:
        return image
    scaled = size if policy == "stretch" else _scaled((height, width), size, policy == "pad")
    if scaled != (height, width):
        exact = tf.image.resize(image, scaled, antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(exact), 0, 255), tf.uint8)
    top, left = (abs(have - want) // 2 for have, want in zip(scaled, size, strict=True))
    if policy == "pad":
        return tf.image.pad_to_bounding_box(image, top, left, *size)
    return tf.image.crop_to_bounding_box(image, top, left, *size)


def _scaled(have: tuple[int, int], want: tuple[int, int], within: bool) -> tuple[int, int]:
    """(height, width) of the same shape that lies within the wanted size, or that covers it."""
    (height, width), (rows, columns) = have, want
    # In whole numbers, since a side that comes out one short by rounding is a black line.
    by_height = rows * width < columns * height if within else rows * width > columns * height
    if by_height:
        return rows, max(1, (2 * rows * width + height) // (2 * height))
    return max(1, (2 * columns * height + width) // (2 * width)), columns


def bring(image: np.ndarray, shape: tuple[int, int, int], policy: str) -> np.ndarray:
    """Images brought to a height, width and number of channels: uint8 [..., height, width, channels].

    Grey is the weighted sum of red, green and blue that TensorFlow takes for it; what lies behind three
    channels, as transparency, is left out.
    """
    return fit(_in_channels(image, shape[2]), shape[:2], policy).numpy()


def _in_channels(image: np.ndarray, wanted: int) -> Image:
    have = image.shape[-1]
    if have == wanted:
        return image
    if wanted == 1:
        return image[..., :1] if have < 3 else tf.image.rgb_to_grayscale(image[..., :3])
    return image[..., :wanted] if have > wanted else np.repeat(image[..., :1], wanted, axis=-1)
