"""Mixed views: boxes and blends by hand, shares, partners, and that all of it is a function of the view."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import seeds
from okd_tf.data import batches, examples, mixing, split_views, views
from okd_tf.settings import choices

AUGMENTATION = views.CropFlip(padding=1, flip=True)
SHAPE = (6, 8, 2)
MIXED = (mixing.CUTMIX, mixing.MIXUP, mixing.BOTH)


def _split(count=31, classes=5):
    ids = np.arange(count) * 4 + 3
    images = np.random.default_rng(1).integers(0, 256, (count, *SHAPE)).astype(np.uint8)
    return examples.Examples(ids, images, (np.arange(count) % classes).astype(np.int32))


def _reading(split):
    return lambda rows: tf.gather(split.images, rows)


def _mix(kind, count=4000, probability=1.0, view=0):
    """Images of zeros mixed with images of 255: what is shown, and the shares."""
    own, other = np.zeros((count, *SHAPE), np.uint8), np.full((count, *SHAPE), 255, np.uint8)
    ids, numbers = tf.range(count, dtype=tf.int64), tf.fill([count], tf.constant(view, tf.int64))
    shown, share = mixing.Mixing(kind, probability).mix(tf.constant(own), tf.constant(other), ids, numbers, 5)
    return shown.numpy(), share.numpy()


def test_the_kinds_are_those_of_the_settings():
    assert mixing.KINDS == choices.MIXES


def test_cutmix_puts_one_box_of_the_other_image_in_and_counts_its_pixels():
    shown, share = _mix(mixing.CUTMIX)
    for image, own in zip(shown[:400], share[:400], strict=True):
        inside = image[..., 0] == 255
        np.testing.assert_array_equal(image[..., 0], image[..., 1])
        assert inside.sum() == round((1 - own) * 48)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if inside.any():
            # All of the smallest rectangle around it.
            assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    # Of a box of 5x7 pixels, the largest there is, 13 of 48 stay.
    assert share.min() == np.float32(13 / 48)
    assert share.max() == 1


def test_mixup_blends_by_its_share():
    shown, share = _mix(mixing.MIXUP)
    expected = np.floor(255 * (1 - share) + 0.5)
    np.testing.assert_array_equal(shown, np.broadcast_to(expected[:, None, None, None], shown.shape))
    # Uniform over its levels: a mean of 1/2 with a standard error of 0.005, a deviation of 1/sqrt(12).
    assert abs(share.mean() - 0.5) < 0.02
    assert abs(share.std() - 12**-0.5) < 0.01
    assert len(np.unique(share)) == mixing.LEVELS


@pytest.mark.parametrize("kind", MIXED)
def test_what_is_not_mixed_is_as_it_was_and_its_share_is_1(kind):
    shown, share = _mix(kind, probability=0.25)
    plain = shown.reshape(len(shown), -1).max(axis=1) == 0
    assert np.all(share[plain] == 1)
    assert np.all(share[~plain] < 1)
    # Boxes that the border cuts away leave some plain that were to be mixed.
    assert 0.70 < plain.mean() < 0.80


def test_both_is_each_as_often():
    shown, share = _mix(mixing.BOTH)
    mixed = shown[share < 1]
    cut = np.array([set(np.unique(image)) <= {0, 255} for image in mixed])
    assert 0.45 < cut.mean() < 0.55


def test_other_views_of_an_example_are_mixed_otherwise():
    shares = np.stack([_mix(mixing.MIXUP, 200, view=view)[1] for view in range(50)])
    # By chance 1 in 64 pairs agrees.
    assert np.mean(shares[1:] == shares[:-1]) < 0.05
    correlation = np.corrcoef(shares[:-1].ravel(), shares[1:].ravel())[0, 1]
    assert abs(correlation) < 0.05


def test_within_a_view_each_example_is_mixed_in_once_and_in_another_view_with_another_one():
    split = _split(64)
    partners = mixing.Partners(split.labels, seed=3)
    rows = tf.range(64, dtype=tf.int64)
    found = [partners(rows, tf.fill([64], tf.constant(view, tf.int64))).numpy() for view in range(20)]
    assert all(sorted(one) == list(range(64)) for one in found)
    assert np.mean(found[0] == found[1]) < 0.1
    assert np.mean([np.mean(one == np.arange(64)) for one in found]) < 0.1


def test_balanced_partners_are_of_each_class_equally_often():
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    partners = mixing.Partners(labels, seed=3, balanced=True)
    rows = tf.range(1000, dtype=tf.int64)
    found = np.concatenate(
        [partners(rows, tf.fill([1000], tf.constant(view, tf.int64))).numpy() for view in range(6)]
    )
    shares = np.bincount(labels[found], minlength=3) / len(found)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    assert set(found[labels[found] == 2]) == set(range(990, 1000))


@pytest.mark.parametrize("kind", MIXED)
def test_a_batch_shows_the_partner_s_own_view_and_its_label(kind):
    split = _split()
    stream = batches.Batches(
        split, 8, 2, AUGMENTATION, view_seed=9, mixing_of_views=mixing.Mixing(kind, probability=0.7)
    )
    plain = split_views.SplitViews(split, AUGMENTATION, None, 9)
    rows_of = {example: row for row, example in enumerate(split.ids.tolist())}
    mixed = 0
    for batch in stream.dataset(0, 9):
        rows, others = ([rows_of[one] for one in batch[name].numpy().tolist()] for name in ("id", "id_b"))
        np.testing.assert_array_equal(batch["label"], split.labels[rows])
        np.testing.assert_array_equal(batch["label_b"], split.labels[others])

        own, other = (
            plain.show(tf.constant(which, tf.int64), batch["view"], _reading(split)).images.numpy()
            for which in (rows, others)
        )
        image = batch["image"].numpy()
        share = batch["share"].numpy()
        np.testing.assert_array_equal(image[share == 1], own[share == 1])
        np.testing.assert_array_equal(batch["id_b"].numpy()[share == 1], batch["id"].numpy()[share == 1])
        low, high = np.minimum(own, other), np.maximum(own, other)
        assert np.all((image >= low) & (image <= high))
        if kind == mixing.CUTMIX:
            assert np.all((image == own) | (image == other))
        mixed += np.sum(share < 1)
    assert 30 < mixed < 65


def test_batches_of_mixed_views_are_a_function_of_the_step_and_of_its_parts():
    def stream():
        return batches.Batches(
            _split(),
            8,
            2,
            AUGMENTATION,
            heard=np.arange(31)[:, None] % 3 > 0,
            class_weights=np.arange(1, 6, dtype=np.float32),
            mixing_of_views=mixing.Mixing(mixing.BOTH),
        )

    for resumed, whole in zip(stream().dataset(4, 8), list(stream().dataset(0, 8))[4:], strict=True):
        assert resumed.keys() == whole.keys() >= {"share", "label_b", "id_b"}
        for name in whole:
            np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)
    portions = [iter(stream().portions(2, 3, range(part, part + 1), 2)) for part in (0, 1)]
    whole = next(iter(stream().dataset(2, 3)))
    parts = [next(one) for one in portions]
    for name in whole:
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_a_teacher_is_heard_of_a_mixed_image_if_of_both_and_weights_are_shared():
    split = _split()
    heard = np.random.default_rng(4).random((31, 2)) < 0.6
    weights = np.array([1.0, 2.0, 4.0, 8.0, 16.0], np.float32)
    stream = batches.Batches(
        *(split, 8, 2, AUGMENTATION),
        heard=heard,
        class_weights=weights,
        mixing_of_views=mixing.Mixing(mixing.CUTMIX, 0.8),
    )
    for batch in stream.dataset(0, 6):
        rows, others = ((batch[name].numpy() - 3) // 4 for name in ("id", "id_b"))
        np.testing.assert_array_equal(batch["heard"], heard[rows] & heard[others])
        share = batch["share"].numpy()
        expected = share * weights[split.labels[rows]] + (1 - share) * weights[split.labels[others]]
        np.testing.assert_allclose(batch["weight"], expected, rtol=1e-6)


def test_there_are_many_more_mixed_views_than_views():
    stream = split_views.SplitViews(_split(), AUGMENTATION, mixing.Mixing(mixing.CUTMIX), 0)
    assert stream.count == AUGMENTATION.count * mixing.VIEWS
    assert split_views.SplitViews(_split(), None, None, 0).count == 1


def test_plain_views_are_those_of_the_augmentation():
    split, rows = _split(), tf.range(31, dtype=tf.int64)
    views_of = tf.fill([31], tf.constant(2, tf.int64))
    shown = split_views.SplitViews(split, AUGMENTATION, None, 9).show(rows, views_of, _reading(split))
    expected = AUGMENTATION.apply(
        tf.constant(split.images), tf.constant(split.ids), views_of, seeds.derive(9, "views")
    )
    np.testing.assert_array_equal(shown.images, expected)
    assert shown.partners is None
    assert shown.share is None
