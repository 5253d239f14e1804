"""Training batches as a function of the global step and of nothing else."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import batches, examples, views

AUGMENTATION = views.CropFlip(padding=1, flip=True)


def _split(count=26):
    ids = np.arange(count) * 4 + 3
    images = np.random.default_rng(1).integers(1, 256, (count, 4, 4, 1)).astype(np.uint8)
    return examples.Examples(ids, images, (ids % 5).astype(np.int32))


def _assert_same_batch(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_a_step_s_batch_is_the_same_wherever_the_dataset_starts():
    stream = batches.Batches(_split(), 8, seed=2, augmentation=AUGMENTATION)
    from_zero = list(stream.dataset(0, 7))
    assert len(from_zero) == 7
    for start in (1, 3, 5):
        resumed = list(batches.Batches(_split(), 8, seed=2, augmentation=AUGMENTATION).dataset(start, 7))
        assert len(resumed) == 7 - start
        for left, right in zip(resumed, from_zero[start:], strict=True):
            _assert_same_batch(left, right)


def test_dataset_gives_what_batch_gives():
    stream = batches.Batches(_split(), 8, seed=2, augmentation=AUGMENTATION)
    for step, batch in zip(range(2, 6), stream.dataset(2, 6), strict=True):
        _assert_same_batch(batch, stream.batch(tf.constant(step)))


def test_the_portions_of_two_workers_are_one_after_the_other_the_whole_batch():
    def read(rows, shown):
        return np.stack([rows, shown], axis=1)[:, None].astype(np.float32)

    stream = batches.Batches(
        _split(),
        8,
        seed=2,
        augmentation=AUGMENTATION,
        teacher_logits=read,
        heard=np.arange(26)[:, None] % 2 == 0,
    )
    # The first has three devices and the other one.
    portions = [iter(stream.portions(2, 5, wanted, 4)) for wanted in (range(3), range(3, 4))]
    for whole in stream.dataset(2, 5):
        parts = [next(portions[0]) for _ in range(3)] + [next(portions[1])]
        assert {len(part["id"]) for part in parts} == {2}
        _assert_same_batch({name: np.concatenate([part[name] for part in parts]) for name in whole}, whole)
    assert all(next(rest, None) is None for rest in portions)


def test_each_epoch_shows_different_examples_each_once():
    stream = batches.Batches(_split(26), 8, seed=2)
    assert stream.steps_per_epoch == 3
    ids = np.array([batch["id"].numpy() for batch in stream.dataset(0, 30)]).reshape(10, 24)
    assert all(len(set(epoch)) == 24 for epoch in ids)
    assert len({tuple(epoch) for epoch in ids}) == 10
    # What one epoch leaves over is not always the same two.
    assert set(ids.ravel()) == set(_split(26).ids)


def test_labels_and_pixels_are_those_of_the_id():
    split = _split()
    rows = {example_id: row for row, example_id in enumerate(split.ids)}
    for batch in batches.Batches(split, 8, seed=2).dataset(0, 4):
        chosen = [rows[example_id] for example_id in batch["id"].numpy()]
        np.testing.assert_array_equal(batch["label"], split.labels[chosen])
        np.testing.assert_array_equal(batch["image"], split.images[chosen].astype(np.float32))
        assert batch["image"].dtype == tf.float32


def test_view_is_the_epoch_modulo_the_number_of_views():
    three = batches.Batches(_split(), 8, seed=2, augmentation=AUGMENTATION, num_views=3)
    shown = [set(batch["view"].numpy()) for batch in three.dataset(0, 15)]
    assert shown == [{view} for view in (0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1)]
    every = batches.Batches(_split(), 8, seed=2, augmentation=AUGMENTATION)
    first_steps = [epoch * 3 for epoch in (17, 18, 19)]
    assert [int(every.batch(tf.constant(step))["view"][0]) for step in first_steps] == [17, 0, 1]
    plain = batches.Batches(_split(), 8, seed=2)
    assert set(plain.batch(tf.constant(9))["view"].numpy()) == {0}


def _pixels(stream, steps):
    return {
        (int(example_id), int(view)): image.numpy().tobytes()
        for batch in stream.dataset(0, steps)
        for example_id, view, image in zip(batch["id"], batch["view"], batch["image"], strict=True)
    }


def test_pixels_of_a_view_do_not_depend_on_the_order_of_examples():
    one = _pixels(batches.Batches(_split(), 13, seed=1, augmentation=AUGMENTATION, view_seed=9), 8)
    other = _pixels(batches.Batches(_split(), 13, seed=2, augmentation=AUGMENTATION, view_seed=9), 8)
    assert len(one) == 26 * 4
    assert one == other


def test_view_seed_changes_pixels_and_leaves_the_order():
    one = batches.Batches(_split(), 8, seed=1, augmentation=AUGMENTATION, view_seed=9).batch(tf.constant(0))
    other = batches.Batches(_split(), 8, seed=1, augmentation=AUGMENTATION, view_seed=8).batch(tf.constant(0))
    np.testing.assert_array_equal(one["id"], other["id"])
    assert np.any(one["image"].numpy() != other["image"].numpy())


def test_seed_changes_the_order():
    one, other = (batches.Batches(_split(), 8, seed).batch(tf.constant(0))["id"] for seed in (1, 2))
    assert np.any(one.numpy() != other.numpy())


def test_teacher_logits_are_those_of_the_batch_s_rows_and_view():
    split = _split()

    def read(rows, shown):
        teachers = np.stack([np.stack([split.ids[rows], shown], axis=-1)] * 3, axis=1)
        return (teachers * np.array([1, 10, 100])[:, np.newaxis]).astype(np.float32)

    stream = batches.Batches(split, 8, seed=1, augmentation=AUGMENTATION, num_views=2, teacher_logits=read)
    assert stream.dataset(0, 1).element_spec["teacher_logits"].shape.as_list() == [8, None, None]
    for batch in stream.dataset(2, 5):
        assert batch["teacher_logits"].shape == (8, 3, 2)
        for teacher, factor in enumerate((1, 10, 100)):
            np.testing.assert_array_equal(
                batch["teacher_logits"][:, teacher, 0], batch["id"].numpy() * factor
            )
            np.testing.assert_array_equal(
                batch["teacher_logits"][:, teacher, 1], batch["view"].numpy() * factor
            )


def test_who_is_heard_is_as_the_batch_s_rows_say():
    split = _split()
    heard = np.stack([split.ids % 3 == 0, split.ids % 5 == 0], axis=1)
    stream = batches.Batches(split, 8, seed=1, augmentation=AUGMENTATION, heard=heard)
    for batch in stream.dataset(2, 6):
        expected = np.stack([batch["id"] % 3 == 0, batch["id"] % 5 == 0], axis=1)
        np.testing.assert_array_equal(batch["heard"], expected)
    assert "heard" not in batches.Batches(split, 8, seed=1).batch(tf.constant(0))


def test_with_weights_of_classes_each_example_has_its_class_s():
    split = _split()
    weights = np.array([0.5, 1, 2, 4, 8], np.float32)
    stream = batches.Batches(split, 8, seed=1, class_weights=weights)
    for batch in stream.dataset(2, 4):
        np.testing.assert_array_equal(batch["weight"], weights[batch["label"]])
        assert batch["weight"].dtype == tf.float32
    assert "weight" not in batches.Batches(split, 8, seed=1).batch(tf.constant(0))


def test_a_balanced_batch_has_stored_logits_and_pixels_of_each_row_s_own_view():
    split = _split()
    split = examples.Examples(split.ids, split.images, (np.arange(26) == 7).astype(np.int32))
    arguments = {"augmentation": AUGMENTATION, "view_seed": 9, "num_views": 5}
    stream = batches.Batches(
        *(split, 8, 2),
        balanced=True,
        **arguments,
        teacher_logits=lambda rows, shown: np.stack([rows, shown], axis=1)[:, None].astype(np.float32),
    )
    expected = _pixels(batches.Batches(split, 26, seed=1, **arguments), 5)
    for batch in stream.dataset(0, 6):
        assert np.bincount(batch["label"]).tolist() == [4, 4]
        rows = np.searchsorted(split.ids, batch["id"])
        np.testing.assert_array_equal(batch["teacher_logits"][:, 0], np.stack([rows, batch["view"]], axis=1))
        for example_id, view, image in zip(batch["id"], batch["view"], batch["image"], strict=True):
            assert expected[int(example_id), int(view)] == image.numpy().tobytes()
        # The one example of its class comes four times, in views that follow each other.
        alone = batch["view"].numpy()[batch["label"] == 1]
        assert np.all(np.diff(alone) % 5 == 1)


def test_without_a_reader_there_are_no_teacher_logits():
    assert "teacher_logits" not in batches.Batches(_split(), 8, seed=1).batch(tf.constant(0))


def test_a_split_smaller_than_a_batch_is_refused_with_both_numbers():
    assert batches.Batches(_split(8), 8, seed=0).steps_per_epoch == 1
    with pytest.raises(errors.UserError, match=r"^--batch_size: 9 is more than the 8 examples"):
        batches.Batches(_split(8), 9, seed=0)


def test_orders_of_successive_epochs_have_nothing_in_common():
    count = 20_000
    ids = np.arange(count)
    split = examples.Examples(ids, np.zeros((count, 1, 1, 1), np.uint8), np.zeros(count, np.int32))
    stream = batches.Batches(split, count, seed=0)
    orders = [stream.batch(tf.constant(epoch))["id"].numpy() for epoch in range(12)]
    for one, next_one in itertools.pairwise(orders):
        # Two random orders differ by the same shift at about 7 places and never at 25.
        assert np.bincount((next_one - one) % count).max() < 25
    assert np.ptp([order[0] for order in orders]) > count / 2
