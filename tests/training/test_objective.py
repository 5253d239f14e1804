"""Which loss, and where its teachers come from."""

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors, losses
from okd_tf.losses import mixed_labels
from okd_tf.training import objective

LABELS = tf.constant([0, 2])
STUDENT = tf.constant([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]])
STORED = tf.constant([[[3.0, 0.0, 0.0]], [[0.0, 0.0, 2.0]]])
IMAGES = tf.ones([2, 4, 4, 1])
BATCH = {"image": IMAGES, "label": LABELS}
OTHERS = {"none_right": "mean"}  # of settings that are no numbers


def test_an_unknown_loss_is_refused_with_the_nearest_name_first():
    with pytest.raises(errors.UserError, match="unknown name 'orcale'; did you mean oracle"):
        objective.Objective("orcale")


def test_stored_logits_are_preferred_to_live_teachers():
    def never(images):
        raise AssertionError("live teachers were asked")

    chosen = objective.Objective("oracle", live_teachers=never)
    assert chosen.teacher_logits({"image": IMAGES, "teacher_logits": STORED}) is STORED


def test_live_teachers_are_asked_about_the_batch_s_images_when_nothing_is_stored():
    asked = []
    chosen = objective.Objective("oracle", live_teachers=lambda images: asked.append(images) or STORED)
    np.testing.assert_array_equal(chosen.teacher_logits({"image": IMAGES}), STORED)
    assert len(asked) == 1
    assert asked[0] is IMAGES


def test_no_gradient_flows_into_live_teachers():
    scale = tf.Variable(2.0)
    chosen = objective.Objective("mean", live_teachers=lambda images: scale * STORED)
    with tf.GradientTape() as tape:
        loss = chosen(BATCH, STUDENT, chosen.teacher_logits(BATCH))
    assert tape.gradient(loss, scale) is None


def test_a_loss_without_teachers_asks_none():
    def never(images):
        raise AssertionError("live teachers were asked")

    chosen = objective.Objective("ce", live_teachers=never)
    assert chosen.teacher_logits({"image": IMAGES, "teacher_logits": STORED}) is None


@pytest.mark.parametrize("name", sorted(losses.KD_LOSSES))
def test_with_weights_the_mean_is_of_each_example_s_loss_times_its_own(name):
    chosen = objective.Objective(name)

    def of(rows, **more):
        batch = {"image": IMAGES, "label": tf.gather(LABELS, rows), **more}
        return chosen(batch, tf.gather(STUDENT, rows), tf.gather(STORED, rows)).numpy()

    weighted = of([0, 1], weight=tf.constant([0.25, 3.0]))
    assert weighted == pytest.approx((0.25 * of([0]) + 3.0 * of([1])) / 2)
    assert of([0, 1], weight=tf.ones([2])) == of([0, 1])


@pytest.mark.parametrize("name", sorted(losses.KD_LOSSES))
def test_the_labels_of_a_mixed_batch_and_the_weight_of_distillation_reach_the_loss(name):
    mixed = {**BATCH, "label_b": tf.constant([1, 2]), "share": tf.constant([0.75, 1.0])}
    labels = mixed_labels.Labels(LABELS, mixed["label_b"], mixed["share"])
    expected = np.mean(losses.KD_LOSSES[name](labels, STUDENT, STORED, 3.0, 0.25, kd_weight=2.0))
    chosen = objective.Objective(name, 3.0, 0.25, kd_weight=2.0)
    value = float(chosen(mixed, STUDENT, STORED))
    assert value == pytest.approx(expected, rel=1e-6)
    assert value != pytest.approx(float(chosen(BATCH, STUDENT, STORED)))
    if name != "ce":
        assert value != pytest.approx(float(objective.Objective(name, 3.0, 0.25)(mixed, STUDENT, STORED)))


def test_a_loss_whose_teachers_are_nowhere_says_so():
    with pytest.raises(ValueError, match="'mean' needs teachers"):
        objective.Objective("mean").teacher_logits({"image": IMAGES})


@pytest.mark.parametrize("name", sorted(losses.NEEDS_PEERS))
def test_a_loss_of_peers_is_refused_where_one_network_trains(name):
    with pytest.raises(ValueError, match=f"'{name}' is of networks that train together"):
        objective.Objective(name).teacher_logits({"image": IMAGES, "teacher_logits": STORED})


def test_a_setting_that_the_loss_does_not_take_is_refused():
    with pytest.raises(ValueError, match="loss 'oracle' takes no setting dkd_beta"):
        objective.Objective("oracle", settings={"standardize_logits": True, "dkd_beta": 1.0})


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        (name, {setting: OTHERS.get(setting, 2.5)})
        for name in losses.KD_LOSSES
        for setting in losses.SETTINGS[name]
    ],
)
def test_the_loss_s_own_settings_reach_it(name, chosen):
    stored = STORED * [[[1.0]], [[-1.0]]]  # right of the first, wrong of the second
    expected = np.mean(losses.KD_LOSSES[name](LABELS, STUDENT, stored, 3.0, 0.25, **chosen))
    given = float(objective.Objective(name, 3.0, 0.25, settings=chosen)(BATCH, STUDENT, stored))
    assert given == pytest.approx(expected, rel=1e-6)
    assert given != pytest.approx(float(objective.Objective(name, 3.0, 0.25)(BATCH, STUDENT, stored)))


@pytest.mark.parametrize("name", sorted(set(losses.KD_LOSSES) - losses.NEEDS_PEERS))
def test_of_stored_and_of_live_teachers_those_count_whom_the_batch_hears(name):
    told = tf.concat([STORED, -STORED], axis=1)
    heard = tf.constant([[False, True], [False, False]])
    expected = np.mean(losses.KD_LOSSES[name](LABELS, STUDENT, told, 3.0, 0.25, heard=heard))
    for given, live in (({"teacher_logits": told}, None), ({}, lambda images: told)):
        chosen = objective.Objective(name, 3.0, 0.25, live_teachers=live)
        batch = {**BATCH, **given, "heard": heard}
        value = float(chosen(batch, STUDENT, chosen.teacher_logits(batch)))
        assert value == pytest.approx(expected, rel=1e-6)
        if name in losses.NEEDS_TEACHERS:
            assert value != pytest.approx(float(chosen({**BATCH, **given}, STUDENT, told)))


@pytest.mark.parametrize("name", losses.KD_LOSSES)
def test_its_value_is_the_mean_of_the_registered_loss_with_its_settings(name):
    chosen = objective.Objective(name, temperature=3.0, ce_weight=0.25)
    expected = np.mean(losses.KD_LOSSES[name](LABELS, STUDENT, STORED, 3.0, 0.25))
    assert float(chosen(BATCH, STUDENT, STORED)) == pytest.approx(expected, rel=1e-6)
