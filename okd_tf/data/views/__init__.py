"""Augmentation as a pure function of (example id, view number, seed).

The views of an image are a finite set: every offset of a padded crop, each plain or mirrored, and of each
what operations make of it. For each example a seeded permutation puts them in an order of its own; view
number v is the v-th in that order. So the views numbered 0..K-1 are K different ones, teachers can look at
each once, and whoever asks for view v of example i again, in any process or batch, gets the same pixels.
"""

from typing import Protocol

import tensorflow as tf

from okd_tf import errors
from okd_tf.data.views.crop_flip import CropFlip
from okd_tf.data.views.operated import LARGEST_MAGNITUDE, Operated
from okd_tf.data.views.operations import OPERATIONS

BASES = {  # whether it crops, and whether it mirrors
    "crop_flip": (True, True),
    "crop": (True, False),
    "flip": (False, True),
    "none": (False, False),
}
ALL_OPERATIONS = "randaugment"

__all__ = [
    "ALL_OPERATIONS",
    "BASES",
    "LARGEST_MAGNITUDE",
    "OPERATIONS",
    "Augmentation",
    "CropFlip",
    "Operated",
    "make",
    "usual",
]


class Augmentation(Protocol):
    """What shows images in views; its repr says all that its views depend on."""

    @property
    def count(self) -> int:
        """How many different views an image has."""

    def apply(self, images: tf.Tensor, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
        """Makes one view of each image.

        images uint8 [batch, height, width, channels], ids and views int64 [batch] -> images of that shape.
        """


def usual(image_shape: tuple[int, int, int], flip: bool = True) -> CropFlip:
    """What images of a shape (height, width, channels) are shown as where nobody says otherwise.

    The crop is padded by an eighth of the height: 4 pixels at 32, as is the custom for CIFAR, 8 at 64.
    """
    return CropFlip(padding=max(1, image_shape[0] // 8), flip=flip)


def make(
    own: CropFlip,
    image_shape: tuple[int, int, int],
    names: tuple[str, ...] = (),
    padding: int = -1,
    number: int = 2,
    magnitude: int = 9,
) -> Augmentation:
    """What the settings ask for.

    Args:
        own: the dataset's, which it is without names.
        image_shape: (height, width, channels).
        names: one of BASES, and after it operations; ALL_OPERATIONS stands for all. They are known to be.
        padding: of the crops; negative is the usual.
        number: of operations in a view, if any are named.
        magnitude: of each of them, in 0..LARGEST_MAGNITUDE.

    Raises:
        UserError: crops that may have nothing of the image in them, or operations on other images than grey
            or RGB ones.
    """
    if padding >= min(image_shape[:2]):
        raise errors.UserError(
            f"--crop_padding: {padding} is not less than the {min(image_shape[:2])} pixels of the images; "
            "give fewer"
        )
    if not names:
        return own if padding < 0 else CropFlip(padding, own.flip)
    crops, flips = BASES[names[0]]
    if padding < 0:
        padding = usual(image_shape).padding
    base = CropFlip(padding if crops else 0, flips)
    chosen = tuple(OPERATIONS) if ALL_OPERATIONS in names else names[1:]
    if chosen and image_shape[2] not in (1, 3):
        raise errors.UserError(
            f"--augmentation: {','.join(names)} has operations, which are of 1 or 3 channels, and these "
            f"images have {image_shape[2]}; add --channels=3, or name no operations"
        )
    return Operated(base, chosen, number, magnitude) if chosen else base
