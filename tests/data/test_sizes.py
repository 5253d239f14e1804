"""Images brought to a size, against numbers worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import sizes
from okd_tf.sources import request


def _columns(*values, height=2):
    """An image of one channel whose columns have these values."""
    return np.tile(np.array(values, np.uint8)[np.newaxis, :, np.newaxis], (height, 1, 1))


def _rows(*values, width=2):
    return _columns(*values, height=width).swapaxes(0, 1)


@pytest.mark.parametrize("policy", request.RESIZE)
def test_an_image_of_that_size_stays_as_it_is(policy, rng):
    image = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(sizes.fit(image, (5, 7), policy), image)


def test_crop_keeps_the_middle_of_the_longer_side():
    shown = sizes.fit(_columns(0, 10, 20, 30, 40, 50), (2, 2), "crop")
    np.testing.assert_array_equal(shown, _columns(20, 30))
    shown = sizes.fit(_rows(0, 10, 20, 30, 40), (2, 2), "crop")
    np.testing.assert_array_equal(shown, _rows(10, 20))


def test_crop_first_scales_until_the_shorter_side_fits():
    # 4x8 becomes 2x4, each value the antialiased mean of a 2x2 block of equal ones, then 2x2.
    image = np.kron(_columns(0, 100, 200, 50)[..., 0], np.ones((2, 2), np.uint8))[..., np.newaxis]
    whole = tf.image.resize(image, (2, 4), antialias=True)
    shown = sizes.fit(image, (2, 2), "crop")
    np.testing.assert_array_equal(shown, np.rint(whole[:, 1:3]).astype(np.uint8))


def test_stretch_takes_each_side_for_itself():
    # Twice as wide: between two columns a quarter and three quarters, at the borders what is there.
    shown = sizes.fit(_columns(0, 100), (2, 4), "stretch")
    np.testing.assert_array_equal(shown, _columns(0, 25, 75, 100))
    assert sizes.fit(_columns(7, 7, 7, height=5), (2, 6), "stretch").shape == (2, 6, 1)


def test_shrinking_looks_at_all_pixels():
    # To half the width the antialiased kernel is a triangle of radius 2 pixels of the original: for the first
    # of two, whose centre is at 1, the weights of the pixels at 0.5, 1.5, 2.5 are 0.75, 0.75, 0.25.
    shown = sizes.fit(_columns(0, 100, 200, 40, height=4), (2, 2), "stretch")
    first = (0.75 * 0 + 0.75 * 100 + 0.25 * 200) / 1.75
    last = (0.25 * 100 + 0.75 * 200 + 0.75 * 40) / 1.75
    np.testing.assert_array_equal(shown, _columns(round(first), round(last)))


def test_pad_fills_both_sides_with_black():
    shown = sizes.fit(_columns(9, 9), (2, 5), "pad")
    np.testing.assert_array_equal(shown, _columns(0, 9, 9, 0, 0))
    shown = sizes.fit(_rows(9, 9, 9, 9), (4, 4), "pad")
    np.testing.assert_array_equal(shown, np.pad(_rows(9, 9, 9, 9), ((0, 0), (1, 1), (0, 0))))


@pytest.mark.parametrize(("policy", "kept"), [("crop", 1.0), ("pad", 0.1)])
def test_the_thinnest_image_keeps_a_pixel(policy, kept):
    shown = sizes.fit(np.full((1, 1000, 3), 200, np.uint8), (10, 10), policy).numpy()
    assert shown.shape == (10, 10, 3)
    assert np.mean(shown == 200) == pytest.approx(kept)


@pytest.mark.parametrize("policy", request.RESIZE)
@pytest.mark.parametrize("size", [(3, 5), (8, 4), (6, 9)])
def test_a_batch_is_its_images_and_twice_is_the_same(policy, size, rng):
    images = rng.integers(0, 256, (3, 6, 5, 3)).astype(np.uint8)
    together = sizes.fit(images, size, policy)
    assert together.dtype == tf.uint8
    assert together.shape == (3, *size, 3)
    np.testing.assert_array_equal(together, sizes.fit(images, size, policy))
    graph = tf.function(lambda given: sizes.fit(given, size, policy), autograph=False)
    np.testing.assert_array_equal(together, graph(tf.constant(images)))
    for image, fitted in zip(images, together, strict=True):
        np.testing.assert_array_equal(fitted, sizes.fit(image, size, policy))


@pytest.mark.parametrize(
    ("have", "scaled", "corner"), [((9, 31), (4, 14), (0, 4)), ((40, 6), (27, 4), (11, 0))]
)
def test_crop_is_the_middle_of_what_scaling_all_gives(have, scaled, corner, rng):
    image = rng.integers(0, 256, (*have, 3)).astype(np.uint8)
    whole = tf.image.resize(image, scaled, antialias=True).numpy()
    shown = sizes.fit(image, (4, 5) if have[0] == 9 else (5, 4), "crop").numpy()
    (top, left), (height, width) = corner, shown.shape[:2]
    part = whole[top : top + height, left : left + width]
    assert np.abs(part - shown).max() <= 0.5001  # rounded


def test_an_unknown_policy_is_refused_with_the_known():
    with pytest.raises(errors.UserError, match=r"^--resize: unknown name 'fit'.*crop, pad, stretch"):
        sizes.fit(_columns(1), (2, 2), "fit")


def test_colours_become_their_luma_rounded_down_and_grey_is_repeated():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    # 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.1, 2.99 + 11.74 + 3.42 = 18.15
    grey = sizes.in_channels(colours, 1)
    np.testing.assert_array_equal(grey[..., 0], [[76, 149, 29, 18]])
    np.testing.assert_array_equal(sizes.in_channels(grey, 3), np.repeat(grey, 3, axis=-1))
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(sizes.in_channels(np.repeat(every, 3, axis=-1), 1), every)
