"""Operations on batches of images against Pillow, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from okd_tf.data import views

LEVELS = (-1.0, -0.3, 0.3, 1.0)
SHAPES = ((20, 17, 3), (20, 17, 1))


def _images(shape, count=4):
    """Smooth gradients with noise, of little and of much contrast, and one of one value."""
    generator = np.random.default_rng(5)
    height, width, channels = shape
    ramp = np.linspace(0, 1, height)[:, None, None] + np.linspace(0, 1, width)[None, :, None] ** 2
    images = [
        np.clip(low + span * ramp + generator.normal(0, 12, (height, width, channels)), 0, 255)
        for low, span in ((30, 80), (0, 127), (-60, 200))
    ]
    return np.stack([*images, np.full(shape, 77)][:count]).astype(np.uint8)


def _pil(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _affine(image, level, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix(level, *image.size))


PILLOW = {
    "identity": lambda image, level: image,
    "autocontrast": lambda image, level: ImageOps.autocontrast(image),
    "equalize": lambda image, level: ImageOps.equalize(image),
    "posterize": lambda image, level: ImageOps.posterize(image, 8 - round(4 * level)),
    "solarize": lambda image, level: ImageOps.solarize(image, 256 - round(256 * level)),
    "color": lambda image, level: ImageEnhance.Color(image).enhance(1 + 0.9 * level),
    "contrast": lambda image, level: ImageEnhance.Contrast(image).enhance(1 + 0.9 * level),
    "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(1 + 0.9 * level),
    "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * level),
    "rotate": lambda image, level: image.rotate(30 * level),
    "shear_x": lambda image, level: _affine(image, level, lambda s, w, h: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear_y": lambda image, level: _affine(image, level, lambda s, w, h: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate_x": lambda image, level: _affine(
        image, level, lambda s, w, h: (1, 0, 150 / 331 * s * w, 0, 1, 0)
    ),
    "translate_y": lambda image, level: _affine(
        image, level, lambda s, w, h: (1, 0, 0, 0, 1, 150 / 331 * s * h)
    ),
}
GEOMETRIC = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}


def _levels(name):
    return LEVELS if views.OPERATIONS[name].signed else LEVELS[2:]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", views.OPERATIONS)
def test_an_operation_is_pillow_s_to_a_rounding(name, shape):
    images = _images(shape)
    for level in _levels(name):
        found = views.OPERATIONS[name].function(tf.constant(images), level)
        assert found.dtype == tf.uint8
        expected = np.stack([np.asarray(PILLOW[name](_pil(image), level)) for image in images])
        difference = np.abs(found.numpy().astype(int) - expected.reshape(images.shape))
        if name in GEOMETRIC:
            # A pixel whose origin lies on the border between two may come from either.
            assert np.mean(difference > 0) < 0.01
        else:
            assert difference.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sorted(set(views.OPERATIONS) - {"autocontrast", "equalize"}))
def test_an_operation_of_level_0_leaves_images_as_they_are(name, shape):
    images = _images(shape)
    np.testing.assert_array_equal(views.OPERATIONS[name].function(tf.constant(images), 0.0), images)


@pytest.mark.parametrize("name", sorted(set(views.OPERATIONS) - {"identity"}))
def test_an_operation_changes_images_in_another_way_with_another_sign(name):
    images = tf.constant(_images(SHAPES[0]))
    there = views.OPERATIONS[name].function(images, 0.5).numpy()
    assert np.any(there != images)
    if views.OPERATIONS[name].signed:
        assert np.any(there != views.OPERATIONS[name].function(images, -0.5).numpy())


@pytest.mark.parametrize("name", views.OPERATIONS)
def test_images_of_any_size_and_none_at_all_are_taken(name):
    for shape in ((0, 5, 4, 3), (2, 1, 1, 1), (2, 2, 3, 1)):
        images = tf.fill(shape, tf.constant(9, tf.uint8))
        assert views.OPERATIONS[name].function(images, 0.3).shape == shape


def test_color_of_a_grey_image_is_that_image():
    images = _images(SHAPES[1])
    np.testing.assert_array_equal(views.OPERATIONS["color"].function(tf.constant(images), 1.0), images)


def test_equalize_of_no_more_than_255_pixels_changes_nothing():
    images = _images((8, 8, 3))
    np.testing.assert_array_equal(views.OPERATIONS["equalize"].function(tf.constant(images), 0.3), images)


def test_the_smoothed_image_of_sharpness_is_pillow_s():
    # At a level of -1 / 0.9 nothing of the image itself is left.
    images = _images(SHAPES[0])
    found = views.OPERATIONS["sharpness"].function(tf.constant(images), -1 / 0.9)
    expected = [np.asarray(_pil(image).filter(ImageFilter.SMOOTH)) for image in images]
    np.testing.assert_array_equal(found, expected)
