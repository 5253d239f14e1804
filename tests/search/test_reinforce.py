"""Search by reinforcement: rewards, updates, what is trained and what is proposed."""

import collections
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.arch import spec
from okd_tf.search import cells, reinforce, supernet
from okd_tf.training import objective

DATA = tiny.make_splits()
STRATEGY = tf.distribute.get_strategy()


def _search(room=None, **changes):
    keras.utils.set_random_seed(2)
    backbone = tiny.make_backbone()
    of = tiny.make_space(backbone)
    return reinforce.ReinforceSearch(
        supernet.make(backbone, of, cells.PathCell),
        of,
        spec.Budget() if room is None else spec.Budget(of.base.params + room),
        objective.Objective("ce"),
        keras.optimizers.SGD(0.1, momentum=0.9),
        tiny.make_options(**{"controller_updates": 2, "controller_children": 3, **changes}),
    )


def _batch(split):
    return {"image": tf.constant(split.images[:9], tf.float32), "label": tf.constant(split.labels[:9])}


@pytest.fixture(scope="module")
def model():
    return _search()


@pytest.mark.slow
def test_on_a_bandit_the_controller_finds_the_best_architecture():
    """Rewards that are told, not measured: one for each decision that is as in the best architecture."""
    model = _search(controller_learning_rate=0.02, controller_entropy=0.0)
    best = np.array([[2, 0, 0], [1, 1, 1]])
    for update in range(150):
        choices = model.write(10, "bandit", update)
        agreement = (choices == best).reshape(len(choices), -1).mean(axis=1)
        model.update(choices, agreement.astype(np.float32))
    np.testing.assert_array_equal(model.controller.most_probable().numpy()[0], best)
    assert model.propose(1, seed=0)[0] == model.space.canonical(tuple(map(tuple, best.tolist())))
    np.testing.assert_array_equal(
        [np.argmax(operations) for operations, _, _ in model.expectation().distributions], best[:, 0]
    )


def test_an_update_follows_the_score_function_gradient_with_the_baseline(monkeypatch):
    """The gradient that Adam gets, against -mean((R - b) d log p) - c d entropy worked out per sample."""
    model = _search(controller_entropy=0.3)
    model._baseline.assign(0.4)
    model._updates.assign(5)
    choices = model.write(3, "gradient")
    rewards = np.array([0.9, 0.1, 0.5], np.float32)
    weights = model.controller.trainable_variables
    expected = [np.zeros(weight.shape) for weight in weights]
    for sample, reward in zip(choices, rewards, strict=True):
        with tf.GradientTape(persistent=True) as tape:
            log_probabilities, entropies = model.controller.score(sample[None])
            log_probability, entropy = tf.reduce_sum(log_probabilities), tf.reduce_sum(entropies)
        for total, by_log, by_entropy in zip(
            expected,
            tape.gradient(log_probability, weights),
            tape.gradient(entropy, weights),
            strict=True,
        ):
            by_log, by_entropy = (tf.convert_to_tensor(part).numpy() for part in (by_log, by_entropy))
            total -= ((reward - 0.4) * by_log + 0.3 * by_entropy) / 3
    given = []
    monkeypatch.setattr(model.controller_optimizer, "apply", lambda found, of: given.extend(found))
    model.update(choices, rewards)
    for found, wanted in zip(given, expected, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), wanted, atol=1e-6)
    assert float(model._baseline) == pytest.approx(0.9 * 0.4 + 0.1 * 0.5)


def test_the_first_baseline_is_the_mean_of_the_first_rewards(model, monkeypatch):
    monkeypatch.setattr(model.controller_optimizer, "apply", lambda *_: None)
    model._updates.assign(0)
    model.update(model.write(3, "first"), np.array([0.2, 0.4, 0.6], np.float32))
    assert float(model._baseline) == pytest.approx(0.4)
    assert int(model._updates) == 1


@pytest.mark.parametrize(
    ("reward", "of", "weights"), [("accuracy", 0, None), ("accuracy", 0, [0.25, 0.5, 2.0]), ("loss", 1, None)]
)
def test_a_reward_is_the_figure_of_the_path_times_its_memory_term(reward, of, weights):
    model = _search(room=0, reward=reward, budget_weight=2.0)
    choices = np.array([[[1, 0, 1], [0, 0, 0]], [[0, 0, 1], [3, 1, 1]]])
    batch = _batch(DATA.val)
    of_examples = np.array(weights or [1.0] * 3, np.float32)[batch["label"]]
    if weights:
        batch["weight"] = tf.constant(of_examples)
    found = model.rewards(choices, batch, STRATEGY)
    for value, architecture in zip(found, choices.tolist(), strict=True):
        rows = supernet.choices(model.space, tuple(map(tuple, architecture)))
        for cell, row in zip(model.supernet.cells, rows, strict=True):
            cell.choose(row)
        logits = model.network(batch["image"], training=True)
        loss = float(model.objective(batch, logits, None))
        right = np.mean(of_examples * (np.argmax(logits, axis=-1) == batch["label"].numpy()))
        cost = model.space.cost(tuple(map(tuple, architecture))).params
        figure = (right, 1 / (1 + loss))[of]
        assert value == pytest.approx(figure * (model.budget.max_params / cost) ** 2, rel=1e-4)


def test_the_memory_term_is_one_within_the_budget():
    model = _search(room=10_000)
    assert model.memory_term(((1, 0, 1), (1, 1, 1))) == 1.0


def test_a_step_trains_the_path_of_the_pool_whose_turn_it_is(model):
    pool = model._pool.numpy()
    for step in (0, 3, reinforce.POOL + 1):
        model.weight_optimizer.iterations.assign(step)
        model.train_step(_batch(DATA.train))
        rows = [cell.choice.numpy() for cell in model.supernet.cells]
        np.testing.assert_array_equal(rows, pool[step % reinforce.POOL])


@pytest.mark.slow
def test_the_end_of_an_epoch_updates_the_controller_and_no_shared_weight():
    model = _search()
    validation = tiny.make_batches(DATA.val, 9)
    weights = [weight.numpy() for weight in model.supernet.weights()]
    policy = [weight.numpy() for weight in model.controller.trainable_variables]
    pool = model._pool.numpy()
    record = model.end_epoch(validation, STRATEGY)
    assert all((a == b.numpy()).all() for a, b in zip(weights, model.supernet.weights(), strict=True))
    changed = [
        (a != b.numpy()).any() for a, b in zip(policy, model.controller.trainable_variables, strict=True)
    ]
    assert all(changed)
    assert int(model._updates) == record["controller/updates"] == 2
    assert 0 <= record["reward"] <= 1
    assert (pool != model._pool.numpy()).any()


def test_the_controller_rests_during_the_warm_up():
    model = _search(warmup_steps=3)
    policy = [weight.numpy() for weight in model.controller.trainable_variables]
    model.weight_optimizer.iterations.assign(2)
    record = model.end_epoch(tiny.make_batches(DATA.val, 9), STRATEGY)
    assert all(
        (a == b.numpy()).all() for a, b in zip(policy, model.controller.trainable_variables, strict=True)
    )
    assert record["controller/updates"] == 1  # of looking, not of learning
    assert int(model._updates) == 0


def test_controller_and_shared_weights_have_optimizers_of_their_own(model):
    shared = {id(weight) for weight in model.supernet.weights()}
    policy = {id(weight) for weight in model.controller.trainable_variables}
    assert not shared & policy
    assert len(model.weight_optimizer._trainable_variables) == len(shared)
    assert {id(weight) for weight in model.controller_optimizer._trainable_variables} == policy


@pytest.mark.parametrize("room", [0, 100, 200, None])
def test_proposals_are_different_canonical_and_within_the_budget(room):
    model = _search(room=room)
    proposed = model.propose(4, seed=1)
    assert 1 <= len(proposed) == len(set(proposed)) <= 4
    for architecture in proposed:
        assert architecture == model.space.canonical(architecture)
        assert model.budget.admits(model.space.cost(architecture))
    assert len(proposed) == 4


def test_proposals_are_by_the_probability_of_all_that_writes_an_architecture(model):
    """Against every way to write each architecture of the two layers."""
    gates = list(itertools.product((0, 1), (0, 1)))
    first = [(op, 0, feed_back) for op in range(4) for feed_back in (0, 1)]
    second = [(op, chain, feed_back) for op in range(4) for chain, feed_back in gates]
    everything = np.array(list(itertools.product(first, second)), np.int32)
    scores = np.exp(model.controller.score(everything)[0].numpy().sum(axis=(1, 2)))
    assert scores.sum() == pytest.approx(1, abs=1e-4)
    exact = collections.Counter()
    for written, score in zip(everything.tolist(), scores, strict=True):
        exact[model.space.canonical(tuple(map(tuple, written)))] += float(score)
    likeliest = [architecture for architecture, _ in exact.most_common()]
    # Of the bare backbone there are 16 ways to write it, and of others one.
    assert model.propose(1, seed=1) == likeliest[:1]
    proposed = model.propose(5, seed=1)
    assert [exact[architecture] for architecture in proposed] == pytest.approx(
        [exact[architecture] for architecture in likeliest[:5]], rel=0.2
    )
