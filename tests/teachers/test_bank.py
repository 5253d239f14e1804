"""The view bank holds what the teachers say of exactly the views that training shows."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.data import batches, mixing, views
from okd_tf.teachers import bank, shards, store
from okd_tf.training import classifier, objective

VIEWS, VIEW_SEED = 3, 11


@pytest.fixture(scope="module")
def teachers(networks, data):
    return tiny.make_ensemble(networks, data)


def _write(folder, teachers, data, num_views=VIEWS, mixed=None):
    of = bank.key(data, VIEW_SEED, ["a", "b"], mixed)
    seen = np.ones((len(teachers), len(data.train)), bool)
    bank.write(folder, teachers, data, num_views, VIEW_SEED, of, seen, mixed)
    return store.read(folder, of, bank.views(num_views))


@pytest.fixture(scope="module")
def written(tmp_path_factory, teachers, data):
    return _write(tmp_path_factory.mktemp("bank"), teachers, data)


def test_stored_logits_are_the_live_teachers_on_the_pixels_of_the_batch(written, teachers, data):
    stream = batches.Batches(
        data.train,
        9,
        seed=5,
        augmentation=data.augmentation,
        view_seed=VIEW_SEED,
        num_views=VIEWS,
        teacher_logits=written.reader("train"),
    )
    shown = set()
    # Four epochs: the views come round again in the last.
    for batch in stream.dataset(0, 4 * stream.steps_per_epoch):
        live = shards.relative(teachers.live(batch["image"]).numpy())
        shown |= set(batch["view"].numpy().tolist())
        # float16 keeps eleven bits.
        np.testing.assert_allclose(batch["teacher_logits"], live, rtol=2**-10, atol=1e-3)
    assert shown == {0, 1, 2}


@pytest.mark.parametrize("kind", [mixing.CUTMIX, mixing.MIXUP, mixing.BOTH])
def test_stored_logits_of_mixed_views_are_the_live_teachers_on_the_pixels_of_the_batch(
    tmp_path, teachers, data, kind
):
    mixed = mixing.Mixing(kind, probability=0.7)
    stored = _write(tmp_path, teachers, data, mixed=mixed)
    stream = batches.Batches(
        *(data.train, 9, 5, data.augmentation, VIEW_SEED, VIEWS),
        teacher_logits=stored.reader("train"),
        mixing_of_views=mixed,
    )
    shares = []
    for batch in stream.dataset(0, 4 * stream.steps_per_epoch):
        live = shards.relative(teachers.live(batch["image"]).numpy())
        np.testing.assert_allclose(batch["teacher_logits"], live, rtol=2**-10, atol=1e-3)
        shares.append(batch["share"].numpy())
    assert 0.5 < np.mean(np.concatenate(shares) < 1) < 0.9
    bank.check(stored, teachers, data, VIEW_SEED, 12, 0, mixed)
    with pytest.raises(errors.UserError, match="does not hold what teacher"):
        bank.check(stored, teachers, data, VIEW_SEED, 12, 0)


def test_a_student_learns_the_same_from_stored_logits_as_from_live_teachers(written, teachers, data):
    states = []
    for stored, live in ((written.reader("train"), None), (None, teachers.live)):
        keras.utils.set_random_seed(3)
        network = tiny.make_backbone().model
        oracle = objective.Objective("oracle", live_teachers=live)
        model = classifier.Classifier(network, oracle, keras.optimizers.SGD(0.1))
        start = tiny.values(network.trainable_variables)
        stream = batches.Batches(
            data.train, 9, 5, data.augmentation, VIEW_SEED, num_views=VIEWS, teacher_logits=stored
        )
        step = tf.function(model.train_step, jit_compile=False)
        for batch in stream.dataset(0, 8):
            step(batch)
        states.append(tiny.values(network.trainable_variables))
    for before, mine, theirs in zip(start, *states, strict=True):
        # As near as float16 is, of how far it went.
        assert np.max(np.abs(mine - theirs)) <= 5e-3 * np.max(np.abs(mine - before)) + 1e-6


def test_views_of_an_image_are_told_apart(written, data):
    rows = np.arange(len(data.train))
    logits = [written.reader("train")(rows, np.full(len(rows), view)) for view in range(VIEWS)]
    assert np.max(np.abs(logits[0] - logits[1])) > 0.01
    assert np.max(np.abs(logits[1] - logits[2])) > 0.01


def test_validation_images_are_shown_as_they_are(written, teachers, data):
    stream = batches.Batches(data.val, 9, seed=5, teacher_logits=written.reader("val"))
    for batch in stream.dataset(0, 2):
        live = shards.relative(teachers.live(batch["image"]).numpy())
        np.testing.assert_allclose(batch["teacher_logits"], live, rtol=2**-10, atol=1e-3)


def test_a_checked_bank_is_off_by_rounding_only(written, teachers, data):
    largest = bank.check(written, teachers, data, VIEW_SEED, 12, seed=0)
    assert 0 < largest < bank.TOLERANCE * 10


def test_large_logits_pass_the_check_as_well(tmp_path, teachers, data, monkeypatch):
    asked = teachers.one
    monkeypatch.setattr(teachers, "one", lambda index, images: 3e4 * asked(index, images) + 7e5)
    written = _write(tmp_path, teachers, data)
    bank.check(written, teachers, data, VIEW_SEED, 12, seed=0)


def test_a_bank_of_other_teachers_or_views_does_not_pass_the_check(written, teachers, networks, data):
    swapped = tiny.make_ensemble([networks[0], networks[0]], data)
    with pytest.raises(errors.UserError, match="does not hold what teacher 2 says of"):
        bank.check(written, swapped, data, VIEW_SEED, 4, seed=0)
    with pytest.raises(errors.UserError, match="says of train example"):
        bank.check(written, teachers, data, VIEW_SEED + 1, 12, seed=0)


def test_more_views_than_an_image_has_are_refused_with_both_numbers(tmp_path, teachers, data):
    bank.check_views(18, data)
    with pytest.raises(errors.UserError, match=r"--views: 19 asked, .* has 18 views"):
        _write(tmp_path, teachers, data, 19)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_names_teacher_example_and_view(
    tmp_path, teachers, data, monkeypatch, bad
):
    asked = teachers.one

    def broken(index, images):
        logits = asked(index, images).copy()
        if index == 1:
            logits[5, 2] = bad
        return logits

    monkeypatch.setattr(teachers, "one", broken)
    with pytest.raises(
        errors.UserError, match=rf"teacher 2 \(.*\): logit 2 of view 0 of train example 5 is {bad} "
    ):
        _write(tmp_path, teachers, data)
    assert not shards.complete(tmp_path)


def test_examples_are_asked_in_chunks_without_a_seam(tmp_path, written, teachers, data, monkeypatch):
    monkeypatch.setattr(bank, "CHUNK", 7)
    chunked = _write(tmp_path, teachers, data)
    rows = np.arange(len(data.train))
    for view in range(VIEWS):
        given = rows, np.full(len(rows), view)
        np.testing.assert_allclose(
            chunked.reader("train")(*given), written.reader("train")(*given), rtol=2**-9, atol=1e-3
        )


def test_views_may_be_all_there_are(tmp_path, teachers, data):
    plain = dataclasses.replace(data, augmentation=views.CropFlip(padding=0, flip=True))
    stored, rows = _write(tmp_path, teachers, plain, 2), np.arange(len(data.train))
    one, other = (stored.reader("train")(rows, np.full(len(rows), view))[:, 0] for view in (0, 1))
    # The image and its mirror image, in an order of each example's own.
    mirrored = shards.relative(teachers.one(0, data.train.images[:, :, ::-1]))
    plainly = shards.relative(teachers.one(0, data.train.images))
    expected = np.sort(np.stack([mirrored, plainly]), axis=0)
    np.testing.assert_allclose(np.sort(np.stack([one, other]), axis=0), expected, rtol=2**-9, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda data: dataclasses.replace(data, name="other"), {"the dataset"}),
        (
            lambda data: dataclasses.replace(data, val=data.val.take(np.arange(5))),
            {"the split", "the split's images"},
        ),
        (
            lambda data: dataclasses.replace(
                data, val=dataclasses.replace(data.val, images=255 - data.val.images)
            ),
            {"the split's images"},
        ),
        (
            lambda data: dataclasses.replace(data, augmentation=views.CropFlip(padding=2, flip=True)),
            {"the kind of views"},
        ),
        (lambda data: dataclasses.replace(data, test=data.val), set()),
    ],
)
def test_the_key_tells_apart_what_a_bank_depends_on(data, change, differs):
    own, other = (bank.key(of, VIEW_SEED, ["a"]) for of in (data, change(data)))
    assert {name for name in own if own[name] != other[name]} == differs
