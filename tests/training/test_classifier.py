"""One step of a classifier against the formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.training import classifier, objective, optimizers

RATE, DECAY, MOMENTUM = 0.1, 0.05, 0.9


def _linear(weight_decay=DECAY, clip_norm=0.0, compute="float32"):
    """Two pixels -> three logits."""
    inputs = keras.Input((1, 2, 1))
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(inputs))
    network = keras.Model(inputs, logits)
    generator = np.random.default_rng(4)
    network.set_weights([generator.normal(size=weight.shape) for weight in network.get_weights()])
    # The first half of the "step" schedule is flat.
    optimizer = optimizers.sgd(RATE, "step", 100)
    optimizer = optimizers.scaling(optimizer, compute)
    return classifier.Classifier(network, objective.Objective("ce"), optimizer, weight_decay, clip_norm)


@pytest.fixture
def pixels(rng):
    return rng.normal(size=(5, 2)).astype(np.float32)


def _batch(pixels):
    labels = np.array([0, 1, 2, 2, 1], np.int32)
    return {"image": tf.constant(pixels.reshape(5, 1, 2, 1)), "label": tf.constant(labels)}


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _gradients(kernel, bias, pixels, labels):
    """Of the mean cross-entropy, by the textbook."""
    error = (_softmax(pixels @ kernel + bias) - np.eye(3)[labels]) / len(labels)
    return pixels.T @ error, error.sum(axis=0)


def test_steps_are_nesterov_s_on_the_cross_entropy_with_l2(pixels):
    model, batch = _linear(), _batch(pixels)
    weights = [weight.astype(np.float64) for weight in model.network.get_weights()]
    velocities = [np.zeros_like(weight) for weight in weights]
    for _ in range(3):
        gradients = _gradients(*weights, pixels, batch["label"].numpy())
        for index in (0, 1):
            slope = gradients[index] + DECAY * weights[index]
            velocities[index] = MOMENTUM * velocities[index] - RATE * slope
            weights[index] = weights[index] + MOMENTUM * velocities[index] - RATE * slope
        model.train_step(batch)
    for mine, expected in zip(model.network.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_weights_of_one_change_a_step_by_no_bit_and_others_do(pixels):
    batch = _batch(pixels)
    found = []
    for more in ({}, {"weight": tf.ones([5])}, {"weight": tf.constant([2.0, 1, 1, 1, 0])}):
        model = _linear()
        tf.function(model.train_step, autograph=False)({**batch, **more})
        found.append([weight.tobytes() for weight in model.network.get_weights()])
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize(("share", "binds"), [(0.4, True), (1.5, False)])
def test_gradients_of_the_loss_are_clipped_to_a_norm_and_l2_joins_them_then(pixels, share, binds, compute):
    batch = _batch(pixels)
    weights = [weight.astype(np.float64) for weight in _linear().network.get_weights()]
    gradients = _gradients(*weights, pixels, batch["label"].numpy())
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients))
    # In float16 the loss is scaled, and what is clipped is not.
    model = _linear(clip_norm=share * norm, compute=compute)
    model.train_step(batch)
    for mine, weight, gradient in zip(model.network.get_weights(), weights, gradients, strict=True):
        slope = (share if binds else 1.0) * gradient + DECAY * weight
        np.testing.assert_allclose(mine, weight - RATE * (1 + MOMENTUM) * slope, rtol=1e-5, atol=1e-6)


def test_weight_decay_adds_its_multiple_of_the_weight_to_the_gradient(pixels):
    batch = _batch(pixels)
    seen = {}
    for decay in (0.0, DECAY):
        model = _linear(decay)
        model.weight_optimizer.apply = lambda gradients, weights, decay=decay: seen.update(
            {decay: [gradient.numpy() for gradient in gradients]}
        )
        model.train_step(batch)
    for with_decay, without, weight in zip(
        seen[DECAY], seen[0.0], _linear().network.get_weights(), strict=True
    ):
        np.testing.assert_allclose(with_decay - without, DECAY * weight, rtol=1e-4, atol=1e-6)


def test_metrics_are_of_the_weights_before_the_step_and_average_over_steps(pixels):
    model, batch = _linear(), _batch(pixels)
    losses, accuracies = [], []
    for _ in range(2):
        probabilities = _softmax(model.network(batch["image"]).numpy())
        labels = batch["label"].numpy()
        losses.append(-np.mean(np.log(probabilities[np.arange(5), labels])))
        accuracies.append(np.mean(probabilities.argmax(axis=1) == labels))
        results = model.train_step(batch)
    assert float(results["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(results["accuracy"]) == pytest.approx(np.mean(accuracies), rel=1e-6)
    assert model.scalars() == {"learning_rate": pytest.approx(RATE)}


def test_on_mixed_images_the_step_is_of_the_mixed_one_hot_labels_and_accuracy_the_share_that_is_named(pixels):
    model, batch = _linear(0.0), _batch(pixels)
    partners, share = np.array([1, 1, 0, 2, 2], np.int32), np.array([0.75, 1.0, 0.5, 0.25, 0.6], np.float32)
    target = (
        share[:, np.newaxis] * np.eye(3)[batch["label"]] + (1 - share)[:, np.newaxis] * np.eye(3)[partners]
    )
    kernel, bias = (weight.astype(np.float64) for weight in model.network.get_weights())
    probabilities = _softmax(pixels @ kernel + bias)
    results = model.train_step({**batch, "label_b": tf.constant(partners), "share": tf.constant(share)})
    slope = pixels.T @ (probabilities - target) / 5
    np.testing.assert_allclose(
        model.network.get_weights()[0], kernel - RATE * (1 + MOMENTUM) * slope, rtol=1e-5, atol=1e-6
    )
    assert float(results["loss"]) == pytest.approx(
        -np.mean(np.sum(target * np.log(probabilities), 1)), rel=1e-5
    )
    named = target[np.arange(5), probabilities.argmax(axis=1)]
    assert 0.0 < np.mean(named) < 1.0
    assert float(results["accuracy"]) == pytest.approx(np.mean(named), rel=1e-6)


def test_a_distilled_student_learns_from_the_batch_s_teachers(pixels):
    batch = _batch(pixels)
    teachers = np.zeros((5, 1, 3), np.float32)
    teachers[np.arange(5), 0, batch["label"].numpy()] = 2.0
    ends = []
    for logits in (teachers, 2 * teachers):
        model = _linear()
        model.objective = objective.Objective("oracle", temperature=1.0)
        model.train_step({**batch, "teacher_logits": tf.constant(logits)})
        ends.append(model.network.get_weights()[0])
    assert np.max(np.abs(ends[0] - ends[1])) > 1e-4
