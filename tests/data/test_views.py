"""Augmented views against plain NumPy, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.data import views


def _all_views(image, padding, flip):
    """Every view of an image, each as bytes, from the words of the definition: pad, crop, mirror."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    found = set()
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[top : top + height, left : left + width]
            found.add(crop.tobytes())
            if flip:
                found.add(crop[:, ::-1].tobytes())
    return found


def _images(count, height=5, width=6, channels=3):
    pixels = np.arange(1, count * height * width * channels + 1) % 251 + 1
    return pixels.reshape(count, height, width, channels).astype(np.uint8)


def _apply(augmentation, images, ids, numbers, seed=7):
    return augmentation.apply(
        tf.constant(images), tf.constant(ids, tf.int64), tf.constant(numbers, tf.int64), seed
    ).numpy()


@pytest.mark.parametrize(
    ("padding", "flip", "count"), [(4, True, 162), (1, False, 9), (1, True, 18), (0, True, 2), (0, False, 1)]
)
def test_views_are_every_padded_crop_and_mirror_once(padding, flip, count):
    augmentation = views.CropFlip(padding, flip)
    assert augmentation.count == count
    image = _images(1)
    shown = _apply(augmentation, np.repeat(image, count, axis=0), [3] * count, range(count))
    assert shown.dtype == np.uint8
    expected = _all_views(image[0], padding, flip)
    assert len(expected) == count
    assert {view.tobytes() for view in shown} == expected


def test_a_code_says_mirrored_then_top_then_left():
    augmentation = views.CropFlip(2, True)
    images, ids, numbers = _images(40), np.arange(40), np.arange(40) % 11
    codes = augmentation.codes(tf.constant(ids), tf.constant(numbers), 7).numpy()
    shown = _apply(augmentation, images, ids, numbers)
    for image, code, view in zip(images, codes, shown, strict=True):
        mirrored, top, left = code // 25, code % 25 // 5, code % 5
        crop = np.pad(image, ((2, 2), (2, 2), (0, 0)))[top : top + 5, left : left + 6]
        np.testing.assert_array_equal(view, crop[:, ::-1] if mirrored else crop)


def test_first_views_of_every_example_are_different_ones():
    augmentation = views.CropFlip(4, True)
    ids, numbers = np.divmod(np.arange(100 * 16), 16)
    codes = augmentation.codes(tf.constant(ids), tf.constant(numbers), 7).numpy().reshape(100, 16)
    assert codes.min() >= 0
    assert codes.max() < augmentation.count
    assert all(len(set(row)) == 16 for row in codes)


def test_each_example_has_an_order_of_its_own_that_favours_no_view():
    augmentation = views.CropFlip(1, False)
    ids = np.arange(9000)
    codes = augmentation.codes(tf.constant(ids), tf.zeros(9000, tf.int64), 7).numpy()
    counts = np.bincount(codes, minlength=9)
    # Chi-square with 8 degrees of freedom: 1 in 1000 is above 26.1.
    assert np.sum((counts - 1000) ** 2 / 1000) < 26.1


def test_pixels_ignore_batch_composition_order_and_size():
    augmentation = views.CropFlip(4, True)
    images, ids, numbers = _images(12), np.arange(12) * 5 + 2, np.arange(12) % 4
    together = _apply(augmentation, images, ids, numbers)
    backwards = _apply(augmentation, images[::-1], ids[::-1], numbers[::-1])
    np.testing.assert_array_equal(backwards[::-1], together)
    alone = [
        _apply(augmentation, images[i : i + 1], ids[i : i + 1], numbers[i : i + 1])[0] for i in range(12)
    ]
    np.testing.assert_array_equal(alone, together)


def test_pixels_are_the_same_in_a_graph_of_unknown_shape():
    augmentation = views.CropFlip(4, True)
    images, ids, numbers = _images(12), np.arange(12), np.arange(12) % 4

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.uint8),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.int64),
        ]
    )
    def apply(images, ids, numbers):
        return augmentation.apply(images, ids, numbers, 7)

    np.testing.assert_array_equal(apply(images, ids, numbers), _apply(augmentation, images, ids, numbers))


def test_view_numbers_start_again_after_the_last():
    augmentation = views.CropFlip(1, True)
    images, ids = _images(6), range(6)
    np.testing.assert_array_equal(
        _apply(augmentation, images, ids, [0, 1, 2, 3, 4, 5]),
        _apply(augmentation, images, ids, [18, 19, 20, 21, 22, 23]),
    )


def test_another_seed_or_id_shows_other_views():
    augmentation = views.CropFlip(4, True)
    images, numbers = _images(50), [0] * 50
    first = _apply(augmentation, images, range(50), numbers, seed=1)
    assert np.any(first != _apply(augmentation, images, range(50), numbers, seed=2))
    assert np.any(first != _apply(augmentation, images, range(50, 100), numbers, seed=1))


def test_floating_images_keep_their_type_and_values():
    augmentation = views.CropFlip(1, True)
    images = _images(9)
    shown = _apply(augmentation, images.astype(np.float32) / 2, range(9), range(9))
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(
        shown, _apply(augmentation, images, range(9), range(9)).astype(np.float32) / 2
    )
