"""The controller: what it draws, how probable that is, and that it learns which architecture is best."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.search import controller as controllers

CHAINABLE = (False, True)
OPS = 3


@pytest.fixture
def controller():
    keras.utils.set_random_seed(5)
    made = controllers.Controller(OPS, CHAINABLE, units=8)
    made.build()
    for weight in made.trainable_variables:
        weight.assign(10.0 * weight)  # far from uniform
    return made


def _everything():
    """All choices of the two layers; the first cannot chain."""
    layers = [itertools.product(range(OPS), (0, 1) if chainable else (0,), (0, 1)) for chainable in CHAINABLE]
    return np.array(list(itertools.product(*layers)), np.int32)


def test_probabilities_of_all_architectures_sum_to_one(controller):
    log_probabilities, _ = controller.score(_everything())
    assert np.exp(log_probabilities.numpy().sum(axis=(1, 2))).sum() == pytest.approx(1.0, abs=1e-5)


def test_the_log_probability_of_a_sample_is_the_sum_of_those_of_its_decisions(controller):
    """Each decision's own softmax, worked out step by step with the LSTM's equations in NumPy."""
    kernel, recurrent, bias, *heads, embeddings = (
        weight.numpy().astype(np.float64) for weight in _weights(controller)
    )

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for choices in _everything()[::5]:
        hidden = cell = np.zeros(8)
        row, expected = 0, 0.0
        for layer, chainable in enumerate(CHAINABLE):
            for kind, size in enumerate((OPS, 2, 2)):
                if kind == 1 and not chainable:
                    continue
                gates = np.split(embeddings[row] @ kernel + hidden @ recurrent + bias, 4)
                cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * np.tanh(gates[2])
                hidden = sigmoid(gates[3]) * np.tanh(cell)
                logits = 2.5 * np.tanh(hidden @ heads[2 * kind] + heads[2 * kind + 1])
                chosen = choices[layer, kind]
                expected += logits[chosen] - np.log(np.exp(logits).sum())
                row = 1 + (0, OPS, OPS + 2)[kind] + chosen
                assert size == len(logits)
        log_probabilities, _ = controller.score(choices[None])
        assert log_probabilities.numpy().sum() == pytest.approx(expected, abs=1e-5)


def _weights(controller):
    by_path = {weight.path.split("/", 1)[1]: weight for weight in controller.variables}
    names = ["lstm/kernel", "lstm/recurrent_kernel", "lstm/bias"]
    names += [f"head{kind}/{part}" for kind in range(3) for part in ("kernel", "bias")]
    return [by_path[name] for name in [*names, "embeddings"]]


def test_samples_occur_as_often_as_their_probability_says(controller):
    everything = _everything()
    expected = np.exp(controller.score(everything)[0].numpy().sum(axis=(1, 2)))
    drawn = controller.sample(20_000, [1, 2]).numpy()
    matches = (drawn[:, None] == everything[None]).all(axis=(2, 3))
    assert matches.sum(axis=1).tolist() == [1] * len(drawn)
    frequencies = matches.mean(axis=0)
    np.testing.assert_allclose(frequencies, expected, atol=5 * np.sqrt(0.25 / len(drawn)))
    assert np.corrcoef(frequencies, expected)[0, 1] > 0.999


def test_the_same_seed_draws_the_same_and_another_other_architectures(controller):
    first, again, other = (controller.sample(50, seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_entropies_are_those_of_the_decisions(controller):
    """The entropy of the first decision, from the probabilities of all architectures."""
    everything = _everything()
    log_probabilities, entropies = (part.numpy() for part in controller.score(everything))
    joint = np.exp(log_probabilities.sum(axis=(1, 2)))
    first = np.array([joint[everything[:, 0, 0] == op].sum() for op in range(OPS)])
    assert entropies[0, 0, 0] == pytest.approx(-np.sum(first * np.log(first)), abs=1e-5)
    # By the chain rule, the entropy of the whole is the expected sum over decisions.
    whole = -np.sum(joint * np.log(joint))
    assert np.sum(joint * entropies.sum(axis=(1, 2))) == pytest.approx(whole, abs=1e-4)
    assert not entropies[:, 0, 1].any()


def test_the_greedy_architecture_takes_the_likeliest_decision_at_each_turn(controller):
    greedy = controller.most_probable().numpy()
    log_probabilities, _ = (part.numpy() for part in controller.score(greedy))
    for layer, kind in ((0, 0), (0, 2), (1, 0), (1, 1), (1, 2)):
        for other in range((OPS, 2, 2)[kind]):
            changed = greedy.copy()
            changed[0, layer, kind] = other
            score = controller.score(changed)[0].numpy()[0, layer, kind]
            assert score <= log_probabilities[0, layer, kind] + 1e-6


def test_the_gradient_of_a_sample_is_the_score_function_by_finite_differences(controller):
    choices = controller.sample(4, [0, 0])
    advantages = np.array([1.0, -0.5, 0.25, 2.0], np.float32)

    @tf.function
    def surrogate():
        log_probabilities, _ = controller.score(choices)
        return tf.reduce_mean(advantages * tf.reduce_sum(log_probabilities, axis=(1, 2)))

    embeddings = controller._embeddings
    with tf.GradientTape() as tape:
        value = surrogate()
    gradient = tape.gradient(value, embeddings.value)
    gradient = tf.convert_to_tensor(gradient).numpy()
    before, step = embeddings.numpy(), 1e-2
    for place in [(0, 0), (1, 3), (2, 5), (4, 1), (6, 7)]:
        sides = []
        for sign in (1, -1):
            moved = before.copy()
            moved[place] += sign * step
            embeddings.assign(moved)
            sides.append(float(surrogate()))
        embeddings.assign(before)
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=2e-3)
