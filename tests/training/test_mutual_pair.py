"""Two networks that teach each other."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.ops import batch_norm
from okd_tf.training import classifier, loop, mutual, objective, optimizers

RATE, DECAY, MOMENTUM, TEMPERATURE = 0.1, 0.05, 0.9, 2.0
LABELS = np.array([0, 1, 2, 2, 1], np.int32)
DATA = tiny.make_splits()
EPOCHS, STEPS, KILLED_AT = 2, 8, 6


def _linear(seed):
    """Two pixels -> three logits."""
    inputs = keras.Input((1, 2, 1))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    generator = np.random.default_rng(seed)
    network.set_weights([generator.normal(size=weight.shape) for weight in network.get_weights()])
    return network


def _pair(seeds=(4, 5), clip_norm=0.0):
    # The first half of the "step" schedule is flat.
    optimizer = optimizers.sgd(RATE, "step", 100)
    chosen = objective.Objective("mutual", TEMPERATURE)
    return mutual.Pair([_linear(seed) for seed in seeds], chosen, optimizer, DECAY, clip_norm)


@pytest.fixture
def batch(rng):
    pixels = rng.normal(size=(5, 1, 2, 1)).astype(np.float32)
    return {"image": tf.constant(pixels), "label": tf.constant(LABELS)}


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_both_step_at_once_each_from_what_the_other_said_before_the_step(batch):
    model = _pair()
    pixels = batch["image"].numpy().reshape(5, 2)
    networks = (model.network, model.peer)
    weights = [[part.astype(np.float64) for part in network.get_weights()] for network in networks]
    velocities = [[np.zeros_like(part) for part in own] for own in weights]
    for _ in range(3):
        logits = [pixels @ kernel + bias for kernel, bias in weights]
        for own, other in ((0, 1), (1, 0)):
            soft = [_softmax(logits[which] / TEMPERATURE) for which in (own, other)]
            # Of the cross-entropy, and of tau^2 KL(peer || own), whose logits are divided by tau.
            error = _softmax(logits[own]) - np.eye(3)[LABELS] + TEMPERATURE * (soft[0] - soft[1])
            error /= len(LABELS)
            for index, gradient in enumerate((pixels.T @ error, error.sum(axis=0))):
                slope = gradient + DECAY * weights[own][index]
                velocity = MOMENTUM * velocities[own][index] - RATE * slope
                velocities[own][index] = velocity
                weights[own][index] = weights[own][index] + MOMENTUM * velocity - RATE * slope
        model.train_step(batch)
    for network, expected in zip(networks, weights, strict=True):
        for mine, theirs in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_equal_networks_learn_what_one_learns_from_the_labels_alone(batch):
    pair = _pair((4, 4))
    alone = classifier.Classifier(
        _linear(4), objective.Objective("ce"), optimizers.sgd(RATE, "step", 100), DECAY
    )
    for _ in range(3):
        both, one = pair.train_step(batch), alone.train_step(batch)
    for network in (pair.network, pair.peer):
        for mine, theirs in zip(network.get_weights(), alone.network.get_weights(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert set(both) == {"loss", "accuracy", "peer_loss", "peer_accuracy"}
    for name in ("loss", "accuracy"):
        assert float(both[name]) == pytest.approx(float(one[name]), rel=1e-5)
        assert float(both[f"peer_{name}"]) == pytest.approx(float(one[name]), rel=1e-5)


def test_which_of_the_two_comes_first_changes_names_alone(batch):
    one, other = _pair((4, 5)), _pair((5, 4))
    for _ in range(2):
        ours, theirs = one.train_step(batch), other.train_step(batch)
    assert float(ours["loss"]) != pytest.approx(float(ours["peer_loss"]), rel=1e-3)
    for name in ("loss", "accuracy"):
        assert float(ours[name]) == float(theirs[f"peer_{name}"])
        assert float(ours[f"peer_{name}"]) == float(theirs[name])
    for mine, yours in zip(one.network.get_weights(), other.peer.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    np.testing.assert_array_equal(one(batch["image"]), one.network(batch["image"]))


def test_each_is_clipped_by_its_own_norm(batch):
    def moves(clip_norm):
        """Of each network, its step without L2, as one vector."""
        model, found = _pair(clip_norm=clip_norm), []
        model.weight_decay = 0.0
        before = [network.get_weights() for network in (model.network, model.peer)]
        model.train_step(batch)
        for network, old in zip((model.network, model.peer), before, strict=True):
            parts = zip(network.get_weights(), old, strict=True)
            found.append(np.concatenate([np.ravel(new - one) for new, one in parts]))
        return found

    free = moves(0.0)
    lengths = [np.linalg.norm(one) for one in free]
    assert max(lengths) > 1.2 * min(lengths)
    bound = np.mean(lengths)  # of steps; that of gradients is so many times less
    clipped = moves(bound / (RATE * (1 + MOMENTUM)))
    for one, other, length in zip(free, clipped, lengths, strict=True):
        np.testing.assert_allclose(other, one * min(1.0, bound / length), rtol=1e-4, atol=1e-6)


def _fit(folder, change=lambda batches: batches):
    networks = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        networks.append(batch_norm.fused_copy(tiny.make_backbone().model))
    rate = optimizers.sgd(0.1, "cosine", STEPS)
    model = mutual.Pair(networks, objective.Objective("mutual", TEMPERATURE), rate, 1e-3)
    batches = change(tiny.make_batches(DATA.train, 8, augmentation=DATA.augmentation))
    rows = loop.fit(model, batches, epochs=EPOCHS, folder=folder, title="", checkpoint_seconds=0)
    return model, [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_pair_killed_within_an_epoch_ends_in_the_same_bits(tmp_path):
    whole, rows = _fit(tmp_path / "whole")
    with pytest.raises(tf.errors.OutOfRangeError):
        _fit(tmp_path / "killed", lambda batches: tiny.CutBatches(batches, KILLED_AT))
    resumed, resumed_rows = _fit(tmp_path / "killed")
    tiny.assert_same_state(resumed, whole)
    assert resumed_rows == rows
    assert {"peer_loss", "peer_accuracy"} < set(rows[0])
