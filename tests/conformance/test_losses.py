"""What every distillation loss must do."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import settings
from okd_tf.losses import KD_LOSSES, NEEDS_PEERS, NEEDS_TEACHERS, SETTINGS, ce, mixed_labels

pytestmark = pytest.mark.parametrize("name", KD_LOSSES)

BATCH, TEACHERS, CLASSES = 40, 3, 4


@pytest.fixture
def batch(rng):
    """Labels, student and teachers; on some examples no teacher is right, on some all are."""
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    teachers = rng.normal(size=(BATCH, TEACHERS, CLASSES)).astype(np.float32)
    teachers[np.arange(BATCH // 4), :, labels[: BATCH // 4]] += 10
    student = rng.normal(size=(BATCH, CLASSES)).astype(np.float32)
    num_right = (teachers.argmax(axis=-1) == labels[:, np.newaxis]).sum(axis=1)
    assert set(num_right) == {0, 1, 2, 3}
    return tf.constant(labels), tf.constant(student), tf.constant(teachers)


def _taught(name, labels, student, teachers, temperature):
    """The part of the loss that others teach: all of it, but with peers the label has one of its own."""
    value = KD_LOSSES[name](labels, student, teachers, temperature)
    return value - ce.loss(labels, student) if name in NEEDS_PEERS else value


def test_has_the_arguments_of_the_common_interface(name):
    parameters = inspect.signature(KD_LOSSES[name]).parameters.values()
    common = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert common == ["labels", "student_logits", "teacher_logits", "temperature", "ce_weight"]


def test_its_settings_are_settings_of_a_run_with_the_same_defaults_and_each_has_an_effect(name, batch):
    default = KD_LOSSES[name](*batch, 2.0)
    defaults = {setting: settings.default(settings.FIELDS[setting]) for setting in SETTINGS[name]}
    np.testing.assert_array_equal(KD_LOSSES[name](*batch, 2.0, **defaults), default)
    others = {"none_right": "mean"}
    for setting, value in defaults.items():
        changed = others.get(setting, not value if value in (0, 1) else 2 * value)
        other = KD_LOSSES[name](*batch, 2.0, **{setting: changed})
        assert np.any(np.abs(other - default) > 1e-3), setting


def test_a_setting_that_it_has_not_is_refused(name, batch):
    with pytest.raises(TypeError, match="unexpected keyword argument 'sharpness'"):
        KD_LOSSES[name](*batch, 2.0, sharpness=1.0)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_one_finite_number_per_example_never_negative(name, batch, temperature):
    value = KD_LOSSES[name](*batch, temperature)
    assert value.shape == (BATCH,)
    assert value.dtype == tf.float32
    assert np.all(np.isfinite(value))
    # Divergences are differences of nearly equal numbers, in float32.
    assert np.min(value) > -1e-5
    assert np.max(value) > 0.1


def test_gradient_is_finite_sums_to_zero_over_classes_and_leaves_the_teachers(name, batch):
    labels, student, teachers = batch
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = KD_LOSSES[name](labels, student, teachers, 2.0, 0.3)
    gradient = tape.gradient(loss, student).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.all(np.any(gradient != 0, axis=1))
    # Adding a constant to all logits of the student changes no probability.
    np.testing.assert_allclose(gradient.sum(axis=1), np.zeros(BATCH), atol=1e-5)


def test_a_constant_added_to_all_logits_of_a_teacher_changes_nothing(name, batch, rng):
    labels, student, teachers = batch
    louder = teachers + rng.normal(size=(BATCH, TEACHERS, 1)).astype(np.float32)
    value = KD_LOSSES[name](labels, student, teachers, 2.0, 0.3)
    np.testing.assert_allclose(
        KD_LOSSES[name](labels, student, louder, 2.0, 0.3), value, rtol=1e-4, atol=1e-5
    )


def _extreme_batch():
    """Every example of a sure student, sure teachers and a label, right or wrong, up to 10,000 apart."""
    rows = np.concatenate([scale * np.eye(CLASSES) for scale in (1e4, -1e4, 1.0)]).astype(np.float32)
    student, one, other = (index.ravel() for index in np.indices([len(rows)] * 3))
    labels = np.arange(len(student)) % CLASSES
    return labels.astype(np.int32), rows[student], np.stack([rows[one], rows[other]], axis=1)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("standardize", [False, True])
def test_value_and_gradient_are_finite_whatever_the_logits(name, temperature, standardize):
    labels, student, teachers = map(tf.constant, _extreme_batch())
    chosen = {"standardize_logits": standardize} if standardize and name in NEEDS_TEACHERS else {}
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = KD_LOSSES[name](labels, student, teachers, temperature, 0.3, **chosen)
    assert np.all(np.isfinite(loss))
    assert np.min(loss) > -0.01  # of terms as large as 10,000
    assert np.all(np.isfinite(tape.gradient(loss, student)))


def test_at_what_all_its_teachers_say_and_are_right_in_it_is_zero_and_flat(name, batch):
    if name not in NEEDS_TEACHERS | NEEDS_PEERS:
        return
    labels, student, teachers = batch
    taught = slice(0, BATCH // 4)  # all teachers are right there
    target = teachers[taught, 0]
    with tf.GradientTape() as tape:
        student = target + 3.0
        tape.watch(student)
        loss = _taught(name, labels[taught], student, tf.stack([target] * TEACHERS, axis=1), 2.0)
    np.testing.assert_allclose(loss, np.zeros(BATCH // 4), atol=1e-4)
    np.testing.assert_allclose(tape.gradient(loss, student), np.zeros([BATCH // 4, CLASSES]), atol=1e-4)


def test_temperature_divides_logits_and_its_square_multiplies_what_teachers_teach(name, batch):
    if name not in NEEDS_TEACHERS | NEEDS_PEERS:
        return
    labels, student, teachers = (part[: BATCH // 4] for part in batch)
    value = _taught(name, labels, 4.0 * student, 4.0 * teachers, 4.0)
    expected = 16.0 * _taught(name, labels, student, teachers, 1.0)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_each_example_s_loss_depends_on_that_example_alone(name, batch):
    whole = KD_LOSSES[name](*batch, 2.0, 0.3)
    parts = [KD_LOSSES[name](*(part[i : i + 1] for part in batch), 2.0, 0.3)[0] for i in range(5)]
    np.testing.assert_allclose(parts, whole[:5], rtol=1e-5, atol=1e-6)


def test_the_order_of_teachers_does_not_matter(name, batch):
    labels, student, teachers = batch
    value = KD_LOSSES[name](labels, student, teachers, 2.0, 0.3)
    turned = KD_LOSSES[name](labels, student, tf.gather(teachers, [2, 0, 1], axis=1), 2.0, 0.3)
    np.testing.assert_allclose(turned, value, rtol=1e-5, atol=1e-5)


def test_constants_added_to_a_teacher_s_logits_do_not_matter(name, batch):
    labels, student, teachers = batch
    shift = tf.constant([1.0, -2.0, 3.0])[tf.newaxis, :, tf.newaxis]
    value = KD_LOSSES[name](labels, student, teachers, 2.0)
    shifted = KD_LOSSES[name](labels, student, teachers + shift, 2.0)
    np.testing.assert_allclose(shifted, value, rtol=1e-4, atol=1e-4)


def test_full_ce_weight_is_the_cross_entropy(name, batch):
    labels, student, _ = batch
    value = KD_LOSSES[name](*batch, 4.0, 1.0)
    np.testing.assert_allclose(value, ce.loss(labels, student), rtol=1e-5, atol=1e-6)


def _value_and_gradient(name, batch, **chosen):
    labels, student, teachers = batch
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = KD_LOSSES[name](labels, student, teachers, 2.0, 0.3, **chosen)
    return loss, tape.gradient(loss, student)


def test_is_deaf_to_who_is_not_heard(name, batch, rng):
    labels, student, teachers = batch
    heard = rng.integers(0, 2, (BATCH, TEACHERS)).astype(bool)
    heard[:3], heard[3:6] = False, True
    assert set(heard.sum(axis=1)) == set(range(TEACHERS + 1))
    other = np.where(heard[..., np.newaxis], teachers, 30 * rng.normal(size=teachers.shape))
    chosen = {"heard": tf.constant(heard)}
    mine = _value_and_gradient(name, batch, **chosen)
    theirs = _value_and_gradient(name, (labels, student, tf.constant(other, tf.float32)), **chosen)
    for one, another in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, another)
    # And not to who is: but for those of a loss without teachers, some examples change.
    if name in NEEDS_TEACHERS:
        assert np.any(np.abs(mine[0] - _value_and_gradient(name, batch)[0]) > 0.1)


def test_where_nobody_is_heard_it_is_the_cross_entropy(name, batch):
    value, gradient = _value_and_gradient(name, batch, heard=tf.zeros([BATCH, TEACHERS], tf.bool))
    expected = _value_and_gradient("ce", batch)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-7)


def test_where_all_are_heard_it_is_the_same_to_the_bit(name, batch):
    everyone = tf.ones([BATCH, TEACHERS], tf.bool)
    masked = tf.function(lambda: _value_and_gradient(name, batch, heard=everyone))
    plain = tf.function(lambda: _value_and_gradient(name, batch))
    for one, another in zip(masked(), plain(), strict=True):
        np.testing.assert_array_equal(one, another)


def test_a_graph_gives_what_eager_execution_gives(name, batch):
    @tf.function
    def compute(labels, student, teachers):
        return KD_LOSSES[name](labels, student, teachers, 2.0, 0.3)

    np.testing.assert_allclose(compute(*batch), KD_LOSSES[name](*batch, 2.0, 0.3), rtol=1e-5, atol=1e-6)


def test_does_without_teachers_unless_it_says_that_it_needs_them(name, batch):
    labels, student, teachers = batch
    if name in NEEDS_TEACHERS | NEEDS_PEERS:
        value = KD_LOSSES[name](labels, student, teachers)
        others = KD_LOSSES[name](labels, student, -teachers)
        assert np.any(np.abs(value - others) > 0.1)
    else:
        np.testing.assert_array_equal(
            KD_LOSSES[name](labels, student, None), KD_LOSSES[name](labels, student, teachers)
        )


def _mixed(batch, rng, share=None):
    """The batch with partners, of which some have the same class."""
    labels, student, teachers = batch
    share = rng.uniform(0.05, 1.0, BATCH) if share is None else np.full(BATCH, share)
    partners = tf.constant(rng.integers(0, CLASSES, BATCH).astype(np.int32))
    return mixed_labels.Labels(labels, partners, tf.constant(share, tf.float32)), student, teachers


def test_an_image_that_is_all_its_own_is_a_plain_one_to_the_bit_whatever_its_partner(name, batch, rng):
    mixed = _value_and_gradient(name, _mixed(batch, rng, share=1.0))
    for one, another in zip(mixed, _value_and_gradient(name, batch), strict=True):
        np.testing.assert_array_equal(one, another)


def test_which_of_the_two_images_is_the_first_does_not_matter(name, batch, rng):
    labels, student, teachers = _mixed(batch, rng)
    turned = mixed_labels.Labels(labels.second, labels.first, 1.0 - labels.share)
    mine = _value_and_gradient(name, (labels, student, teachers))
    theirs = _value_and_gradient(name, (turned, student, teachers))
    for one, another in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-4, atol=1e-5)


def test_images_of_one_class_mix_to_a_plain_image_of_it(name, batch, rng):
    labels, student, teachers = _mixed(batch, rng)
    same = labels._replace(second=labels.first)
    mine = _value_and_gradient(name, (same, student, teachers))
    for one, another in zip(mine, _value_and_gradient(name, batch), strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-4, atol=1e-5)


def test_unless_the_label_chooses_or_weighs_teachers_the_loss_is_linear_in_the_share(name, batch, rng):
    labels, student, teachers = _mixed(batch, rng)
    value, *parts = (
        KD_LOSSES[name](one, student, teachers, 2.0, 0.3) for one in (labels, labels.first, labels.second)
    )
    linear = labels.share * parts[0] + (1.0 - labels.share) * parts[1]
    if name in ("oracle", "oracle_dkd", "confidence"):
        assert np.any(np.abs(value - linear) > 0.01)
    else:
        np.testing.assert_allclose(value, linear, rtol=1e-4, atol=1e-5)


def test_value_and_gradient_of_mixed_images_are_finite_whatever_the_logits(name):
    labels, student, teachers = map(tf.constant, _extreme_batch())
    share = tf.constant(np.resize([0.25, 1.0, 0.5], len(student)), tf.float32)
    mixed = mixed_labels.Labels(labels, (labels + 1) % CLASSES, share)
    loss, gradient = _value_and_gradient(name, (mixed, student, teachers))
    assert loss.dtype == gradient.dtype == tf.float32
    assert np.all(np.isfinite(loss))
    assert np.all(np.isfinite(gradient))


def test_a_graph_gives_of_mixed_images_what_eager_execution_gives(name, batch, rng):
    mixed = _mixed(batch, rng)
    compute = tf.function(lambda *arguments: KD_LOSSES[name](*arguments, 2.0, 0.3))
    expected = KD_LOSSES[name](*mixed, 2.0, 0.3)
    np.testing.assert_allclose(compute(*mixed), expected, rtol=1e-5, atol=1e-6)


def test_the_weight_of_distillation_multiplies_the_divergence_and_never_the_label_s_part(name, batch):
    def of(weight, share=0.3, **chosen):
        return KD_LOSSES[name](*batch, 2.0, share, kd_weight=weight, **chosen).numpy()

    np.testing.assert_array_equal(of(1.0), KD_LOSSES[name](*batch, 2.0, 0.3))
    of_label = of(0.0)
    np.testing.assert_allclose(of(5.0) - of_label, 5.0 * (of(1.0) - of_label), rtol=1e-3, atol=1e-4)
    cross_entropy = ce.loss(*batch[:2])
    # Of the first quarter all teachers are right.
    expected = (1.0 if name in {"ce"} | NEEDS_PEERS else 0.3) * cross_entropy
    np.testing.assert_allclose(of_label[: BATCH // 4], expected[: BATCH // 4], rtol=1e-5)
    np.testing.assert_allclose(of(5.0, share=1.0), cross_entropy, rtol=1e-5)
    nobody = tf.zeros([BATCH, TEACHERS], tf.bool)
    np.testing.assert_allclose(of(5.0, heard=nobody), cross_entropy, rtol=1e-5)
