"""Image files of all kinds become pixels: upright, without transparency, grey or in colour.

What a file is is decided by its content. JPEG and PNG are decoded by TensorFlow. GIF (its first frame), BMP,
WebP and TIFF (its first page) are decoded by Pillow: TensorFlow 2.21 takes the places in a BMP's palette for
shades of grey, and destroys its own memory with an animated WebP.
"""

import dataclasses
import io

import numpy as np
import tensorflow as tf
from PIL import Image

from okd_tf.data import sizes

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_BY_TENSORFLOW = ("JPEG", "MPO", "PNG")  # MPO: JPEG with more images behind the first, as some cameras write
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")  # of them, those of 16 bits
_ORIENTATION = 0x0112  # of EXIF


class UnreadableError(Exception):
    """A file is no image that can be read; the message says why in a few words."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of its image before that is decoded.

    Attributes:
        size: (height, width) of the upright image.
        channels: 1 if it is grey, 3 if it has colours.
        orientation: of EXIF, 1 to 8: how it is to be turned.
        by_tensorflow: who decodes it.
        bits: of a value of a pixel, 8 or 16.
    """

    size: tuple[int, int]
    channels: int
    orientation: int
    by_tensorflow: bool
    bits: int = 8


def header(path: str) -> Header:
    """Reads the header of an image file.

    Raises:
        UnreadableError: it has none, or cannot be read.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            orientation = _orientation(image)
            width, height = image.size
            if image.format == "TIFF" and image.mode in ("I", "F"):
                # From 0 to 1, or to 65535? The next file may differ.
                raise ValueError("values of 32 bits, or with a sign: save it with 8 or 16 bits without")
            deep = image.format == "TIFF" and image.mode in _DEEP
            return Header(
                size=(width, height) if orientation >= 5 else (height, width),
                channels=1 if image.mode in _GREY else 3,
                orientation=orientation,
                by_tensorflow=image.format in _BY_TENSORFLOW,
                bits=16 if deep or (image.format == "PNG" and _png_bits(path) == 16) else 8,
            )
    except Exception as error:  # each of Pillow's formats raises its own
        raise UnreadableError(_reason(error)) from None


def _png_bits(path: str) -> int:
    """Return how many bits a value has in a PNG file; Pillow does not say so of all modes."""
    with open(path, "rb") as file:
        return file.read(25)[24]


def largest(path: str) -> int:
    """Return the largest value in a PNG or TIFF file of 16 bits.

    Raises:
        UnreadableError: it is damaged.
    """
    try:
        with open(path, "rb") as file:
            return int(_of_sixteen_bits(file.read()).max())
    except Exception as error:  # as in `decode`
        raise UnreadableError(_reason(error)) from None


def decode(path: str, expected: Header, channels: int, bits: int = 16) -> np.ndarray:
    """Reads an image file.

    Args:
        path: the file.
        expected: what its header said.
        channels: wanted, 1 or 3; see `sizes.in_channels`.
        bits: how many of 16 are used, by a microscope's camera often 12; as many from 8 on.

    Returns:
        uint8 [height, width, channels]; of more bits the upper eight of those that are used.

    Raises:
        UnreadableError: it is damaged, or has changed since.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
        if expected.bits == 16 and (bits < 16 or not expected.by_tensorflow):
            values = _of_sixteen_bits(content)
            image = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
        else:
            image = _by_tensorflow(content) if expected.by_tensorflow else _by_pillow(content)
    except Exception as error:  # each decoder raises its own
        raise UnreadableError(_reason(error)) from None
    image = upright(image, expected.orientation)
    if image.shape[:2] != expected.size:
        raise UnreadableError(f"{image.shape[:2]} pixels, and its header says {expected.size}")
    return np.asarray(sizes.in_channels(image, channels))


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns an image [height, width, channels] as EXIF's orientation, 1 to 8, says that it is to be shown."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _by_tensorflow(content: bytes) -> np.ndarray:
    return tf.io.decode_image(content, expand_animations=False).numpy()


def _of_sixteen_bits(content: bytes) -> np.ndarray:
    """Values uint16 [height, width, channels]."""
    if content.startswith(b"\x89PNG"):
        return tf.io.decode_png(content, dtype=tf.uint16).numpy()
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return np.asarray(image).astype(np.uint16)[..., np.newaxis]


def _by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        grey = image.mode in _GREY
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., np.newaxis] if grey else pixels


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF, which says nothing of the pixels
        return 1
    return found if found in range(1, 9) else 1


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, tf.errors.OpError) or "cannot identify" in str(error):
        return "no image, or damaged"
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
