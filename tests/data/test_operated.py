"""Views with operations, and what the settings make of their names."""

import collections
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import hashing, views
from okd_tf.data.views import numbering

SHAPE = (20, 17, 3)
NAMES = ("rotate", "posterize", "brightness")  # with signs, five
OWN = views.CropFlip(padding=3, flip=False)


def _images(count):
    return np.random.default_rng(2).integers(1, 256, (count, *SHAPE)).astype(np.uint8)


def _apply(augmentation, images, ids, numbers, seed=7):
    return augmentation.apply(
        tf.constant(images), tf.constant(ids, tf.int64), tf.constant(numbers, tf.int64), seed
    ).numpy()


def _done(images, names):
    """Images after (operation, sign) at magnitude 9."""
    for name, sign in names:
        images = views.OPERATIONS[name].function(images, sign * 9 / 30)
    return images.numpy()


def test_views_are_the_base_s_each_with_every_sequence_of_operations_and_signs_once():
    augmentation = views.Operated(views.CropFlip(0, True), NAMES, number=2, magnitude=9)
    assert augmentation.count == 2 * 5**2
    image = _images(1)
    shown = _apply(augmentation, np.repeat(image, 50, axis=0), [3] * 50, range(50))
    variants = [("rotate", 1), ("rotate", -1), ("posterize", 1), ("brightness", 1), ("brightness", -1)]
    expected = [
        _done(tf.constant(base), names)[0].tobytes()
        for base in (image, image[:, :, ::-1])
        for names in itertools.product(variants, repeat=2)
    ]
    assert collections.Counter(view.tobytes() for view in shown) == collections.Counter(expected)


def test_pixels_ignore_batch_composition_and_are_the_same_in_a_graph_of_unknown_shape():
    augmentation = views.make(OWN, SHAPE, ("crop_flip", "randaugment"))
    images, ids, numbers = _images(40), np.arange(40) * 5 + 2, np.arange(40) % 4

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.uint8),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.int64),
        ],
        autograph=False,
    )
    def apply(images, ids, numbers):
        return augmentation.apply(images, ids, numbers, 7)

    together = apply(images, ids, numbers).numpy()
    assert together.dtype == np.uint8
    for rows in (slice(None, None, -1), slice(3, 4), slice(11, 20)):
        np.testing.assert_array_equal(apply(images[rows], ids[rows], numbers[rows]), together[rows])
    np.testing.assert_array_equal(_apply(augmentation, images[:9], ids[:9], numbers[:9]), together[:9])


@pytest.mark.parametrize("count", [1, 2, 9, 18, 50, 162, 2 * 3**4 * 23])
def test_steps_are_those_out_of_the_list_of_all_coprimes(count):
    ids, numbers = np.divmod(np.arange(300 * 4), 4)
    coprimes = np.array([step for step in range(count) if math.gcd(step, count) == 1])
    low, high = (half.numpy() for half in hashing.halves(hashing.splitmix64(tf.constant(ids), 7)))
    expected = (low % count + coprimes[high % len(coprimes)] * (numbers % count)) % count
    found = numbering.codes(count, tf.constant(ids), tf.constant(numbers), 7)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [18, 162, 3726, 162 * 23**2, 162 * 23**4, 10_403, 64])
def test_the_first_views_of_an_example_are_different_ones_of_however_many(count):
    ids, numbers = np.divmod(np.arange(50 * 16), 16)
    codes = numbering.codes(count, tf.constant(ids), tf.constant(numbers), 7).numpy().reshape(50, 16)
    assert codes.min() >= 0
    assert codes.max() < count
    assert all(len(set(row)) == 16 for row in codes)
    again = numbering.codes(count, tf.constant(ids), tf.constant(numbers + count), 7).numpy()
    np.testing.assert_array_equal(again, codes.ravel())


@pytest.mark.parametrize(
    ("names", "padding", "expected"),
    [
        ((), -1, OWN),
        ((), 2, views.CropFlip(2, False)),
        (("crop_flip",), -1, views.CropFlip(2, True)),  # an eighth of 20
        (("crop",), 5, views.CropFlip(5, False)),
        (("flip",), -1, views.CropFlip(0, True)),
        (("none",), -1, views.CropFlip(0, False)),
        (("none", "rotate"), -1, views.Operated(views.CropFlip(0, False), ("rotate",), 2, 9)),
        (("crop", "randaugment"), 1, views.Operated(views.CropFlip(1, False), tuple(views.OPERATIONS), 2, 9)),
    ],
)
def test_names_make_what_they_say(names, padding, expected):
    assert views.make(OWN, SHAPE, names, padding) == expected


def test_none_is_one_view_the_image_itself():
    augmentation, images = views.make(OWN, SHAPE, ("none",)), _images(3)
    assert augmentation.count == 1
    np.testing.assert_array_equal(_apply(augmentation, images, range(3), [0, 1, 2]), images)


def test_randaugment_has_fourteen_operations_nine_of_which_have_a_sign():
    made = [views.make(OWN, SHAPE, ("none", "randaugment"), number=number) for number in (1, 2, 3)]
    assert [one.count for one in made] == [23, 23**2, 23**3]


def test_a_padding_as_large_as_the_images_is_refused():
    views.make(OWN, SHAPE, padding=16)
    with pytest.raises(errors.UserError, match=r"^--crop_padding: 17 is not less than the 17 pixels"):
        views.make(OWN, SHAPE, padding=17)


def test_operations_on_other_images_than_grey_or_rgb_ones_are_refused():
    assert views.make(OWN, (20, 17, 4), ("crop",)).count == 25
    for channels in (2, 4):
        with pytest.raises(errors.UserError, match=f"^--augmentation: crop,color has .* have {channels}; "):
            views.make(OWN, (20, 17, channels), ("crop", "color"))


def test_the_repr_tells_views_apart():
    made = [
        views.make(OWN, SHAPE, ("crop", "rotate"), **more)
        for more in ({}, {"padding": 1}, {"number": 1}, {"magnitude": 10})
    ]
    made.append(views.make(OWN, SHAPE, ("crop", "shear_x")))
    assert len({repr(one) for one in made}) == 5
    # What banks that were written before are said to be of.
    assert repr(views.CropFlip(4, True)) == "CropFlip(padding=4, flip=True)"
