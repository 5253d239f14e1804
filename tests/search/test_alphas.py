"""Alphas: what they cost on average, when they move and by what, and that nothing else moves them."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.arch import spec
from okd_tf.search import alphas, loop
from okd_tf.training import objective

DATA = tiny.make_splits()
WARMUP = 2
BILEVEL = {"darts": {}, "unrolled": {"unrolled": True}, "gumbel": {}}


def _make(kind, **changes):
    name = "darts" if kind == "unrolled" else kind
    return tiny.scatter_alphas(tiny.make_search(name, 2, "oracle", **BILEVEL[kind], **changes))


def _alpha_step(model):
    """One step of the alphas alone."""
    if model.cell.__name__ == "GumbelCell":
        model.sample(phase=0, dead_run=True)
        model.alpha_step(tiny.make_batch(DATA.val))
    else:
        model.alpha_step(tiny.make_batch(DATA.train), tiny.make_batch(DATA.val))


@pytest.fixture(scope="module")
def model():
    return _make("darts")


@pytest.mark.parametrize("kind", BILEVEL)
def test_an_alpha_step_moves_every_alpha_and_no_weight(kind):
    model = _make(kind)
    learnt, weights = model.supernet.alphas(), model.supernet.weights()
    before, weights_before = tiny.values(learnt), tiny.values(weights)
    _alpha_step(model)
    # The first layer's chain has nothing to read.
    assert tiny.moved(before, learnt) == [alpha.path != "addon1/alpha_chain" for alpha in learnt]
    assert not any(tiny.moved(weights_before, weights))
    assert int(model.weight_optimizer.iterations) == 0


@pytest.mark.parametrize("kind", ["darts", "gumbel"])
def test_a_weight_step_moves_weights_and_no_alpha(kind):
    model = _make(kind, weight_decay=0.5)
    learnt, weights = model.supernet.alphas(), model.supernet.weights()
    before, alphas_before = tiny.values(weights), tiny.values(learnt)
    model.weight_step(tiny.make_batch(DATA.train))
    moved = tiny.moved(before, weights)
    # Of gumbel, those of the sampled path and of the backbone.
    assert all(moved) if kind == "darts" else any(moved)
    assert not any(tiny.moved(alphas_before, learnt))
    assert int(model.alphas.optimizer.iterations) == 0


@pytest.mark.parametrize("kind", ["darts", "gumbel"])
def test_alphas_are_in_their_own_optimizer_and_weights_in_theirs(kind):
    model = _make(kind)
    of_weights = [variable.path for variable in model.weight_optimizer.variables]
    of_alphas = [variable.path for variable in model.alphas.optimizer.variables]
    assert not any("alpha" in path for path in of_weights)
    # Beside the state of each weight and the two moments of each alpha: the step and the rate.
    assert len(of_weights) == len(model.supernet.weights()) + 2
    assert sum("alpha_" in path for path in of_alphas) == 2 * len(model.supernet.alphas())
    assert len(of_alphas) <= 2 * len(model.supernet.alphas()) + 2


def _applied(model, monkeypatch, gradients):
    """The gradients that reach the alphas' optimizer."""
    seen = []
    monkeypatch.setattr(model.alphas.optimizer, "apply", lambda found, variables: seen.append(found))
    model.alphas.apply(gradients)
    return seen[0]


def test_the_decay_of_alphas_is_their_own_factor_times_the_alpha(monkeypatch):
    gradients = None
    for own, of_weights in ((0.25, 0.7), (0.0, 0.7)):
        model = _make("darts", alpha_weight_decay=own, weight_decay=of_weights, budget_weight=0.0)
        learnt = model.supernet.alphas()
        gradients = gradients or [tf.fill(alpha.shape, 0.5) for alpha in learnt]
        applied = _applied(model, monkeypatch, gradients)
        for found, alpha in zip(applied, learnt, strict=True):
            np.testing.assert_array_equal(found, 0.5 + np.float32(own) * alpha.numpy())


@pytest.mark.parametrize("kind", BILEVEL)
def test_alphas_do_not_move_during_warm_up(kind):
    model = _make(kind, warmup_steps=WARMUP)
    learnt = model.supernet.alphas()
    before = tiny.values(learnt)
    for _ in range(WARMUP):
        _alpha_step(model)
        assert not any(tiny.moved(before, learnt))
    _alpha_step(model)
    assert any(tiny.moved(before, learnt))


@pytest.mark.parametrize(("step", "expected"), [(0, 0), (2, 0), (4, 1 / 3), (8, 1), (9, 1)])
def test_searched_is_the_share_of_the_steps_after_the_warm_up(step, expected):
    model = _make("darts", steps=8, warmup_steps=2)
    assert float(model.alphas.searched(step)) == pytest.approx(expected)


def _choices(of, distributions):
    """(probability, architecture) of every way that independent draws can fall."""
    every_choice = list(itertools.product(range(len(of.ops)), (0, 1), (0, 1)))
    for architecture in itertools.product(every_choice, repeat=of.layers):
        probability = 1.0
        for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(architecture, distributions, strict=True):
            probability *= p_op[op] * (p_chain if chain else 1 - p_chain)
            probability *= p_feed if feed_back else 1 - p_feed
        yield float(probability), architecture


def _expected(model):
    """(params, flops) of the add-on layers on average."""
    tensors = [cell.probabilities() for cell in model.supernet.cells]
    return [float(part) for part in alphas.expected_cost(model.space, tensors)]


def test_expected_cost_is_the_mean_over_all_draws(model):
    params = flops = 0.0
    for probability, architecture in _choices(model.space, model.alphas.distributions()):
        cost = model.space.cost(architecture)
        params += probability * (cost.params - model.space.base.params)
        flops += probability * (cost.flops - model.space.base.flops)
    assert _expected(model) == pytest.approx([params, flops], rel=1e-5)


def _overrun(model, budget):
    return alphas.overrun(model.space, budget, [cell.probabilities() for cell in model.supernet.cells])


@pytest.mark.parametrize("factors", [(0.5, 0), (0, 0.25), (0.5, 0.25), (2, 0.25), (2, 2), (0, 0)])
def test_overrun_is_the_excess_over_the_room_of_each_bound(model, factors):
    base, bounds, expected = model.space.base, [], 0.0
    for own, cost, factor in zip((base.params, base.flops), _expected(model), factors, strict=True):
        room = max(1, round(factor * cost))
        bounds.append(own + room if factor else 0)
        expected += max(0.0, cost / room - 1) if factor else 0.0
    assert float(_overrun(model, spec.Budget(*bounds))) == pytest.approx(expected, rel=1e-5)
    assert (expected > 0) == any(0 < factor < 1 for factor in factors)


def test_inside_the_budget_the_overrun_has_no_gradient(model):
    with tf.GradientTape() as tape:
        overrun = _overrun(model, spec.Budget(model.space.base.params + 10_000))
    assert float(overrun) == 0
    gradients = tape.gradient(overrun, [alpha.value for alpha in model.supernet.alphas()])
    assert all(gradient is None or not np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize(("budget_weight", "decay"), [(0.0, 0.0), (4.0, 0.0), (1.0, 0.5), (4.0, 0.5)])
def test_adam_gets_the_loss_s_gradient_the_weighted_budget_s_and_the_decay(budget_weight, decay, monkeypatch):
    model = _make("darts", budget_weight=budget_weight, alpha_weight_decay=decay)
    values = [alpha.value for alpha in model.alphas.variables]
    with tf.GradientTape() as tape:
        overrun = _overrun(model, model.budget)
    assert float(overrun) > 0.1
    of_budget = [
        gradient.numpy() for gradient in tape.gradient(overrun, values, unconnected_gradients="zero")
    ]
    of_loss = [np.random.default_rng(1).normal(size=value.shape).astype(np.float32) for value in values]
    given = []
    monkeypatch.setattr(model.alphas.optimizer, "apply", lambda found, of: given.extend(found))
    model.alphas.apply([tf.constant(gradient) for gradient in of_loss])
    for found, loss, budget, value in zip(given, of_loss, of_budget, values, strict=True):
        np.testing.assert_allclose(found, loss + budget_weight * budget + decay * value.numpy(), rtol=1e-5)


def test_distributions_are_the_cells_probabilities(model):
    for found, cell in zip(model.alphas.distributions(), model.supernet.cells, strict=True):
        for mine, own in zip(found, cell.probabilities(), strict=True):
            np.testing.assert_allclose(mine, own.numpy(), rtol=1e-6)


@pytest.mark.parametrize("kind", ["darts", "gumbel"])
def test_what_is_proposed_is_the_most_probable_that_fits(kind):
    model = _make(kind)
    probabilities = {}
    for probability, architecture in _choices(model.space, model.alphas.distributions()):
        if model.budget.admits(model.space.cost(architecture)):
            canonical = model.space.canonical(architecture)
            probabilities[canonical] = probabilities.get(canonical, 0) + probability
    proposed = model.propose(3, seed=0)
    assert proposed == sorted(probabilities, key=probabilities.get, reverse=True)[:3]


@pytest.mark.parametrize("kind", ["darts", pytest.param("gumbel", marks=pytest.mark.slow)])
def test_keras_fit_drives_the_bilevel_step(kind):
    model = _make(kind)
    model.objective = objective.Objective("ce")
    batches = loop.Bilevel(tiny.make_batches(DATA.train, 9), tiny.make_batches(DATA.val, 9))
    learnt, weights = model.supernet.alphas(), model.supernet.weights()
    before, weights_before = tiny.values(learnt), tiny.values(weights)
    model.compile(jit_compile=False)
    rows = model.fit(batches.dataset(0, 2), epochs=1, steps_per_epoch=2, shuffle=False, verbose=0).history
    assert sum(tiny.moved(before, learnt)) == len(before) - 1
    assert any(tiny.moved(weights_before, weights))
    assert set(rows) == {"loss", "accuracy", "alpha_loss"}
    assert int(model.weight_optimizer.iterations) == int(model.alphas.optimizer.iterations) == 2


def test_gates_of_alive_layers_by_hand():
    chain, feed_back = (0.0, 0.3, 0.8), (0.2, 0.5, 0.4)
    distributions = [
        (tf.ones([1]), tf.constant(one), tf.constant(other))
        for one, other in zip(chain, feed_back, strict=True)
    ]
    # The last lives by feeding back; each other one also if its living reader chains.
    last = 0.4
    middle = 1 - (1 - 0.5) * (1 - last * 0.8)
    first = 1 - (1 - 0.2) * (1 - middle * 0.3)
    found = [float(alive) for alive in alphas.alive_probabilities(distributions)]
    assert found == pytest.approx([first, middle, last])


def test_the_rate_of_alphas_is_zero_until_the_warm_up_ends():
    model = _make("darts", warmup_steps=WARMUP, alpha_learning_rate=0.25)
    rates = []
    for step in range(4):
        model.alphas.optimizer.iterations.assign(step)
        rates.append(model.scalars()["alpha/learning_rate"])
    assert rates == [0, 0, 0.25, 0.25]
    assert isinstance(model.alphas.optimizer, keras.optimizers.Adam)
