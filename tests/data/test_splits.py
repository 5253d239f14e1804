"""Who is in which split."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from okd_tf import errors
from okd_tf.data import content, examples, splits, views

CLASSES = 4


def _source(count=200, test_count=10, images=None):
    ids = np.arange(count) * 3 + 1
    if images is None:
        images = np.random.default_rng(5).integers(0, 256, (count, 2, 2, 3)).astype(np.uint8)
    train = examples.Examples(ids, images, (ids % CLASSES).astype(np.int32))
    test_ids = np.arange(test_count)
    test = examples.Examples(test_ids, images[:test_count], (test_ids % CLASSES).astype(np.int32))
    names = tuple("abcd")
    return examples.Source("made up", names, train, test, views.CropFlip(padding=1, flip=True))


def _stored_in_order(source, rows):
    train = source.train
    shuffled = examples.Examples(train.ids[rows], train.images[rows], train.labels[rows])
    return examples.Source(source.name, source.class_names, shuffled, source.test, source.augmentation)


def _assert_same_examples(left, right):
    np.testing.assert_array_equal(left.ids, right.ids)
    np.testing.assert_array_equal(left.images, right.images)
    np.testing.assert_array_equal(left.labels, right.labels)


def test_splits_ignore_the_order_on_disk(rng):
    source = _source()
    shuffled = _stored_in_order(source, rng.permutation(len(source.train)))
    one = splits.carve(source, seed=3, val_examples=40, train_examples=100)
    other = splits.carve(shuffled, seed=3, val_examples=40, train_examples=100)
    _assert_same_examples(one.train, other.train)
    _assert_same_examples(one.val, other.val)
    assert one.record() == other.record()


def test_order_of_two_ids_ignores_the_other_ids(rng):
    ids = rng.permutation(1000)
    ranked = ids[splits.order(ids, seed=1, purpose="x")]
    subset = np.arange(0, 1000, 7)
    np.testing.assert_array_equal(
        ranked[np.isin(ranked, subset)], subset[splits.order(subset, seed=1, purpose="x")]
    )


def test_order_differs_between_purposes():
    ids = np.arange(100)
    assert np.any(splits.order(ids, seed=1, purpose="x") != splits.order(ids, seed=1, purpose="y"))


def test_train_val_are_disjoint_and_are_all_there_is():
    source = _source()
    carved = splits.carve(source, seed=0, val_examples=30)
    assert len(carved.val) == 30
    np.testing.assert_array_equal(
        np.sort(np.concatenate([carved.train.ids, carved.val.ids])), source.train.ids
    )


def test_images_and_labels_stay_with_their_id():
    source = _source()
    by_id = {
        example_id: (image, label)
        for example_id, image, label in zip(
            source.train.ids, source.train.images, source.train.labels, strict=True
        )
    }
    carved = splits.carve(source, seed=0)
    for part in (carved.train, carved.val):
        for example_id, image, label in zip(part.ids, part.images, part.labels, strict=True):
            np.testing.assert_array_equal(image, by_id[example_id][0])
            assert label == by_id[example_id][1]


def test_validation_is_a_tenth_unless_asked_otherwise():
    carved = splits.carve(_source(count=205), seed=0)
    assert (len(carved.val), len(carved.train)) == (20, 185)


def test_test_split_is_the_source_s_own_whatever_the_seed():
    source = _source()
    for seed in (0, 1):
        _assert_same_examples(splits.carve(source, seed).test, source.test)


@pytest.mark.parametrize(("fewer", "more"), [(20, 21), (50, 150), (179, 0)])
def test_fewer_training_examples_are_a_subset_of_more(fewer, more):
    small = splits.carve(_source(), seed=2, train_examples=fewer)
    large = splits.carve(_source(), seed=2, train_examples=more)
    assert len(small.train) == fewer
    assert set(small.train.ids) < set(large.train.ids)
    _assert_same_examples(small.val, large.val)


def test_same_seed_same_splits_other_seed_others():
    first, again, other = (splits.carve(_source(), seed) for seed in (4, 4, 5))
    assert first.record() == again.record()
    assert set(first.val.ids) != set(other.val.ids)
    assert first.record()["sha256"] != other.record()["sha256"]


def test_record_tells_relabelled_renamed_and_repainted_data_apart():
    source = _source()
    train = source.train
    before = splits.carve(source, seed=0).record()
    for labels, images in (
        ((train.labels + 1) % CLASSES, train.images),
        (train.labels, train.images ^ np.uint8(1)),
    ):
        changed = examples.Source(
            source.name,
            source.class_names,
            examples.Examples(train.ids, images, labels),
            source.test,
            source.augmentation,
        )
        after = splits.carve(changed, seed=0).record()
        assert after["sha256"] != before["sha256"]
        assert after["train"] == before["train"]
    renamed = dataclasses.replace(source, class_names=tuple(f"new {name}" for name in source.class_names))
    assert splits.carve(renamed, seed=0).record()["sha256"] != before["sha256"]


def test_mean_and_std_are_those_of_the_training_pixels_alone():
    carved = splits.carve(_source(), seed=0)
    for channel in range(3):
        pixels = carved.train.images[..., channel].astype(float).ravel()
        mean = sum(pixels) / len(pixels)
        assert carved.mean[channel] == pytest.approx(mean, abs=1e-3)
        variance = sum((pixels - mean) ** 2) / len(pixels)
        assert carved.std[channel] == pytest.approx(variance**0.5, abs=1e-3)


def test_sums_of_many_images_take_little_memory_beside_them(rng, monkeypatch):
    monkeypatch.setattr(content, "COUNTED", 10_000)
    images = rng.integers(0, 256, (2000, 16, 16, 2)).astype(np.uint8)
    tracemalloc.start()
    totals = content.totals(images)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 0.2 * images.nbytes  # of int64, all of a channel would be four times as many bytes
    np.testing.assert_array_equal(totals, content.moments(images).sum(axis=0))


def test_blank_images_have_a_std_that_can_be_divided_by():
    carved = splits.carve(_source(images=np.full((200, 2, 2, 3), 9, np.uint8)), seed=0)
    assert carved.mean == (9.0, 9.0, 9.0)
    assert carved.std == (1.0, 1.0, 1.0)


def test_shape_and_classes_are_those_of_the_source():
    carved = splits.carve(_source(), seed=0)
    assert carved.image_shape == (2, 2, 3)
    assert carved.classes == CLASSES


@pytest.mark.parametrize(
    ("asked", "flag", "numbers"),
    [
        ({"val_examples": 200}, "--val_examples", ("200",)),
        ({"val_examples": 50, "train_examples": 151}, "--train_examples", ("151", "150", "200", "50")),
        ({"train_examples": 3}, "--train_examples", ("3", "of 4 classes")),
    ],
)
def test_impossible_sizes_are_refused_in_one_line_with_the_numbers(asked, flag, numbers):
    with pytest.raises(errors.UserError) as refusal:
        splits.carve(_source(), seed=0, **asked)
    message = str(refusal.value)
    assert message.startswith(flag)
    assert "\n" not in message
    for number in numbers:
        assert number in message


def test_a_class_that_is_carved_away_whole_is_not_blamed_on_train_examples():
    source = _source(count=41)
    labels = np.arange(41, dtype=np.int32) % 3
    labels[splits.order(source.train.ids, 0, "validation split")[0]] = 3
    alone = examples.Examples(source.train.ids, source.train.images, labels)
    with pytest.raises(errors.UserError, match=r"^--split_seed: .* 1 of 4 classes .*\(first: d\)"):
        splits.carve(dataclasses.replace(source, train=alone), seed=0)


def test_take_gives_ascending_ids_for_an_index_and_for_a_mask(rng):
    source = _source()
    rows = rng.permutation(200)[:50]
    mask = np.zeros(200, bool)
    mask[rows] = True
    _assert_same_examples(source.train.take(rows), source.train.take(mask))
    assert np.all(np.diff(source.train.take(rows).ids) > 0)


def test_all_of_a_set_are_taken_without_a_copy():
    train = _source().train
    assert train.take(np.argsort(train.images[:, 0, 0, 0], kind="stable")).images is train.images
