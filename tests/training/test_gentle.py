"""Layers that begin with kept weights move more slowly than others, or at first not at all."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.arch import space
from okd_tf.ops import batch_norm
from okd_tf.search import STRATEGIES, supernet
from okd_tf.training import classifier, loop, mutual, objective, optimizers

KEPT = ("conv1", "bn1", "conv2", "bn2")
RATE = 0.1
DATA = tiny.make_splits()


def _network(compute="float32", seed=0):
    keras.utils.set_random_seed(seed)
    return batch_norm.fused_copy(tiny.make_backbone().model, compute=compute)


def _classifier(compute="float32", momentum=0.9, clip_norm=0.0, **gentle):
    optimizer = optimizers.scaling(
        keras.optimizers.SGD(RATE, momentum=momentum, nesterov=bool(momentum)), compute
    )
    return classifier.Classifier(
        *(_network(compute), objective.Objective("ce"), optimizer, 1e-2, clip_norm),
        is_kept=KEPT.__contains__,
        **gentle,
    )


def _of(network, names):
    return [variable for name in names for variable in network.get_layer(name).variables]


def _moves(model, steps=1):
    """By how much each variable of the kept layers, and of the head, has moved."""
    variables = [_of(model.network, names) for names in (KEPT, ("logits",))]
    before = [tiny.values(part) for part in variables]
    step = tf.function(model.train_step, autograph=False)
    for index in range(steps):
        step(tiny.make_batch(DATA.train, start=9 * index))
    return [
        [after - old for after, old in zip(tiny.values(part), was, strict=True)]
        for part, was in zip(variables, before, strict=True)
    ]


def test_a_rate_of_a_tenth_makes_a_tenth_of_the_step_of_kept_layers_alone():
    (kept, head), (slow, same) = (_moves(_classifier(momentum=0.0, warm_rate=rate)) for rate in (1.0, 0.1))
    moving = {"moving_mean", "moving_variance"}
    for variable, one, other in zip(_of(_network(), KEPT), kept, slow, strict=True):
        # Statistics are of the batch, whatever the rate.
        np.testing.assert_allclose(other, one if variable.name in moving else 0.1 * one, rtol=1e-3, atol=1e-7)
        assert np.any(one != 0)
    for one, other in zip(head, same, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("compute", "clip_norm"), [("float32", 0.5), ("float16", 0.0)])
def test_frozen_layers_and_their_statistics_do_not_move_by_a_bit_until_their_steps_are_over(
    compute, clip_norm
):
    model = _classifier(compute, clip_norm=clip_norm, frozen_steps=2)
    kept, head = _moves(model, steps=2)
    assert not any(np.any(move) for move in kept)
    assert all(np.any(move) for move in head)
    kept, head = _moves(model)
    assert all(np.any(move) for move in [*kept, *head])


def test_while_frozen_batch_norms_compute_with_their_moving_statistics():
    model = _classifier(frozen_steps=1)
    pixels = tiny.make_batch(DATA.train)["image"]
    expected = model.network(pixels, training=False)
    np.testing.assert_allclose(model.network(pixels, training=True), expected, rtol=1e-5, atol=1e-5)
    model.train_step(tiny.make_batch(DATA.train))
    in_training, otherwise = (np.asarray(model.network(pixels, training=mode)) for mode in (True, False))
    assert np.abs(in_training - otherwise).max() > 1e-2


def test_a_batch_norm_of_features_without_places_is_frozen_too(rng):
    layer = batch_norm.fuse(keras.layers.BatchNormalization())
    features = rng.normal(size=(6, 3)).astype(np.float32)
    layer.build(features.shape)
    frozen = tf.Variable(True)
    layer.frozen = lambda: tf.convert_to_tensor(frozen)
    np.testing.assert_allclose(layer(features, training=True), layer(features), rtol=1e-6)
    assert not np.any(layer.moving_mean.numpy())
    frozen.assign(False)
    stock = keras.layers.BatchNormalization()
    np.testing.assert_allclose(
        layer(features, training=True), stock(features, training=True), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(layer.moving_mean, stock.moving_mean, rtol=1e-5)


def test_gradients_through_frozen_batch_norms_are_those_of_inference():
    model = _classifier(frozen_steps=1)
    pixels = tiny.make_batch(DATA.train)["image"]
    weight = model.network.get_layer("conv1").kernel.value
    found = []
    for mode in (True, False):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model.network(pixels, training=mode)))
        found.append(tape.gradient(loss, weight))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-3)


def test_where_all_move_alike_nothing_is_changed():
    plain = classifier.Classifier(
        *(
            _network(),
            objective.Objective("ce"),
            keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True),
            1e-2,
        )
    )
    for one, other in zip(_moves(plain, 2), _moves(_classifier(), 2), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_of_two_that_teach_each_other_both_keep_theirs():
    pair = [_network(seed=seed) for seed in (0, 1)]
    model = mutual.Pair(
        *(pair, objective.Objective("mutual", 2.0), keras.optimizers.SGD(RATE)),
        is_kept=KEPT.__contains__,
        frozen_steps=1,
    )
    before = [tiny.values(_of(network, KEPT)) for network in pair]
    model.train_step(tiny.make_batch(DATA.train))
    for network, was in zip(pair, before, strict=True):
        assert not any(tiny.moved(was, _of(network, KEPT)))
        assert np.any(network.get_layer("logits").bias.numpy())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_freezes_the_backbone_s_layers_and_not_its_add_ons(name):
    keras.utils.set_random_seed(2)
    plain = tiny.make_backbone()
    backbone = dataclasses.replace(plain, kept=KEPT)
    of = space.SearchSpace.around(backbone, tiny.OPS)
    chosen = STRATEGIES[name]
    model = chosen(
        supernet.make(backbone, of, chosen.cell),
        *(of, tiny.spec.Budget(), objective.Objective("ce"), keras.optimizers.SGD(RATE)),
        tiny.make_options(frozen_steps=1),
    )
    kept = _of(model.network, KEPT)
    new = [weight for weight in model.supernet.weights() if id(weight) not in set(map(id, kept))]
    before = tiny.values(kept), tiny.values(new)
    batch = tiny.make_batch(DATA.train)
    model.train_step((batch, batch) if chosen.bilevel else batch)
    assert not any(tiny.moved(before[0], kept))
    assert any(tiny.moved(before[1], new))
    model.train_step((batch, batch) if chosen.bilevel else batch)
    assert all(tiny.moved(before[0], kept))


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_in_its_phase_to_the_same_bits(tmp_path):
    batches = tiny.make_batches(DATA.train, augmentation=DATA.augmentation)

    def train(folder, batches):
        model = _classifier(frozen_steps=2, warm_rate=0.5)
        loop.fit(
            *(model, batches),
            epochs=2,
            folder=folder,
            title="",
            strategy=tf.distribute.get_strategy(),
            checkpoint_seconds=0.0,
        )
        return model

    whole = train(tmp_path / "whole", batches)
    with pytest.raises(tf.errors.OpError):
        train(tmp_path / "cut", tiny.CutBatches(batches, 1))
    tiny.assert_same_state(whole, train(tmp_path / "cut", batches))


def test_a_batch_norm_that_cannot_be_frozen_is_refused():
    inputs = keras.Input((4, 4, 1))
    features = keras.layers.BatchNormalization(axis=1, name="bn1")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(features)))
    with pytest.raises(errors.UserError, match=r"^--frozen_epochs: layer 'bn1' normalises another axis"):
        classifier.Classifier(
            *(batch_norm.fused_copy(network), objective.Objective("ce"), keras.optimizers.SGD(RATE)),
            is_kept=KEPT.__contains__,
            frozen_steps=1,
        )
