"""What is said of images that are too small for a network."""

import pytest

from okd_tf import backbones, errors


@pytest.mark.parametrize(
    ("shape", "size"), [((7, 200, 3), "8x200"), ((9, 5, 1), "9x8"), ((7, 8, 1), "8"), ((2, 3, 1), "8")]
)
def test_the_size_that_is_advised_enlarges_only_the_side_that_is_too_short(shape, size):
    with pytest.raises(errors.UserError, match=f"--image_size={size}, or"):
        backbones.check_size("--backbone", "vgg8", shape)
    height, _, width = size.partition("x")
    backbones.check_size("--backbone", "vgg8", (int(height), int(width or height), shape[2]))
