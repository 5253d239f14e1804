"""Images brought to a size: by cropping what is too long, by stretching, or by filling up with black."""

from typing import TypeAlias

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.sources import request

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
    shown = min(scaled[0], size[0]), min(scaled[1], size[1])
    top, left = ((have - want) // 2 for have, want in zip(scaled, shown, strict=True))
    if scaled == (height, width):
        image = image[..., top : top + shown[0], left : left + shown[1], :]
    else:
        image = _window(image, scaled, (top, left), shown)
    rows, columns = size[0] - shown[0], size[1] - shown[1]
    if rows or columns:
        image = tf.image.pad_to_bounding_box(image, rows // 2, columns // 2, *size)
    return image


def _window(
    image: tf.Tensor, scaled: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> tf.Tensor:
    """Of images scaled to (height, width) the part of a size at a corner; nothing else is computed."""
    batch = image if image.shape.rank == 4 else image[tf.newaxis]
    exact = tf.raw_ops.ScaleAndTranslate(
        images=batch,
        size=size,
        scale=[scaled[0] / batch.shape[1], scaled[1] / batch.shape[2]],
        translation=[-float(corner[0]), -float(corner[1])],
        kernel_type="triangle",
        antialias=True,
    )
    whole = tf.cast(tf.clip_by_value(tf.round(exact), 0, 255), tf.uint8)
    return whole if image.shape.rank == 4 else whole[0]


def _scaled(have: tuple[int, int], want: tuple[int, int], within: bool) -> tuple[int, int]:
    """(height, width) of the same shape that lies within the wanted size, or that covers it."""
    (height, width), (rows, columns) = have, want
    # In whole numbers, since a side that comes out one short by rounding is a black line.
    by_height = rows * width < columns * height if within else rows * width > columns * height
    if by_height:
        return rows, max(1, (2 * rows * width + height) // (2 * height))
    return max(1, (2 * columns * height + width) // (2 * width)), columns


def bring(image: np.ndarray, shape: tuple[int, int, int], policy: str) -> np.ndarray:
    """Images brought to a height, width and number of channels: uint8 [..., height, width, channels]."""
    return fit(in_channels(image, shape[2]), shape[:2], policy).numpy()


def in_channels(image: np.ndarray, wanted: int) -> Image:
    """Images uint8 [..., 1 to 4] with 1 or 3 channels.

    Grey is the weighted sum of red, green and blue that TensorFlow takes for it; what lies behind one or
    three channels, as opacity, is left out.
    """
    have = image.shape[-1]
    if have == wanted:
        return image
    if wanted == 1:
        return image[..., :1] if have < 3 else tf.image.rgb_to_grayscale(image[..., :3])
    return image[..., :wanted] if have > wanted else np.repeat(image[..., :1], wanted, axis=-1)
