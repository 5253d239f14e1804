"""The bilevel search: who moves when, in which direction, at what expected cost."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.arch import spec
from okd_tf.search import darts, loop, supernet
from okd_tf.training import objective

DATA = tiny.make_splits()
WARMUP = 2


def _search(warmup_steps=0, max_params=None):
    keras.utils.set_random_seed(2)
    backbone = tiny.make_backbone()
    of = tiny.make_space(backbone)
    room = 2 if max_params is None else max_params
    model = darts.DartsSearch(
        supernet.make(backbone, of, supernet.MixedCell),
        of,
        spec.Budget(of.base.params + room, 0) if room else spec.Budget(),
        objective.Objective("oracle", temperature=2.0),
        keras.optimizers.SGD(0.1, momentum=0.9),
        tiny.make_options(warmup_steps=warmup_steps),
    )
    generator = np.random.default_rng(3)
    for alpha in model.supernet.alphas():
        alpha.assign(generator.normal(scale=0.4, size=alpha.shape))
    return model


def _batch(split, start=0):
    logits = np.random.default_rng(start).normal(size=(9, 2, tiny.CLASSES)).astype(np.float32)
    return {
        "image": tf.constant(split.images[start : start + 9], tf.float32),
        "label": tf.constant(split.labels[start : start + 9]),
        "teacher_logits": tf.constant(logits),
    }


def _values(variables):
    return [variable.numpy() for variable in variables]


def _moved(before, variables):
    return [bool(np.any(old != new)) for old, new in zip(before, _values(variables), strict=True)]


@pytest.fixture
def model():
    return _search()


def test_an_alpha_step_moves_every_alpha_and_no_weight(model):
    alphas, weights = model.supernet.alphas(), model.supernet.weights()
    before, weights_before = _values(alphas), _values(weights)
    model.alpha_step(_batch(DATA.val))
    # The first layer's chain has nothing to read.
    assert _moved(before, alphas) == [alpha.path != "addon1/alpha_chain" for alpha in alphas]
    assert not any(_moved(weights_before, weights))
    assert int(model.weight_optimizer.iterations) == 0


def test_a_weight_step_moves_every_weight_and_no_alpha(model):
    alphas, weights = model.supernet.alphas(), model.supernet.weights()
    before, alphas_before = _values(weights), _values(alphas)
    model.weight_step(_batch(DATA.train))
    assert all(_moved(before, weights))
    assert not any(_moved(alphas_before, alphas))
    assert int(model.alpha_optimizer.iterations) == 0


def test_a_train_step_learns_alphas_from_validation_and_weights_from_training(model, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "alpha_step", lambda batch: asked.append(("alphas", batch)))
    monkeypatch.setattr(model, "weight_step", lambda batch: asked.append(("weights", batch)))
    monkeypatch.setattr(model, "sharpen", lambda: asked.append("sharpen"))
    model.train_step(("training", "validation"))
    assert asked == ["sharpen", ("alphas", "validation"), ("weights", "training")]


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (2, 1), (4, 2), (6, 4), (8, 8), (9, 8)])
def test_the_mixture_is_sharpened_from_the_end_of_the_warm_up_on(step, expected):
    model = _search(warmup_steps=WARMUP)
    model.options = tiny.make_options(steps=8, warmup_steps=WARMUP, sharpness=8.0)
    model.weight_optimizer.iterations.assign(step)
    model.sharpen()
    for cell in model.supernet.cells:
        assert float(cell.sharpness) == pytest.approx(expected)


def test_the_alpha_gradient_is_that_of_the_validation_loss_and_the_overrun(model):
    batch = _batch(DATA.val)
    for cell in model.supernet.cells:
        cell.sharpness.assign(1.5)
    gradients = []
    model.alpha_optimizer.apply = lambda found, alphas: gradients.extend(found)
    model.alpha_step(batch)
    assert float(model.overrun()) > 0.1

    @tf.function
    def objective_now():
        loss = model.objective(
            batch["label"], model.network(batch["image"], training=True), batch["teacher_logits"]
        )
        return loss + model.options.budget_weight * model.overrun()

    step = 1e-2
    for alpha, gradient in zip(model.supernet.alphas(), gradients, strict=True):
        value, slopes = alpha.numpy(), np.zeros(alpha.shape)
        for place in np.ndindex(*alpha.shape):
            sides = []
            for sign in (1, -1):
                shifted = np.array(value)
                shifted[place] += sign * step
                alpha.assign(shifted)
                sides.append(float(objective_now()))
            slopes[place] = (sides[0] - sides[1]) / (2 * step)
        alpha.assign(value)
        np.testing.assert_allclose(gradient, slopes, rtol=2e-2, atol=1e-3)


def test_alphas_do_not_move_during_warm_up():
    model = _search(warmup_steps=WARMUP)
    alphas = model.supernet.alphas()
    before = _values(alphas)
    for step in range(WARMUP):
        model.alpha_step(_batch(DATA.val, step))
        assert not any(_moved(before, alphas))
    model.alpha_step(_batch(DATA.val))
    assert any(_moved(before, alphas))


def _choices(model):
    """(probability, architecture) of every way that independent draws can fall."""
    probabilities = [[part.numpy() for part in cell.probabilities()] for cell in model.supernet.cells]
    every_choice = list(itertools.product(range(len(tiny.OPS)), (0, 1), (0, 1)))
    for architecture in itertools.product(every_choice, repeat=len(probabilities)):
        probability = 1.0
        for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(architecture, probabilities, strict=True):
            probability *= p_op[op] * (p_chain if chain else 1 - p_chain)
            probability *= p_feed if feed_back else 1 - p_feed
        yield float(probability), architecture


def test_expected_cost_is_the_mean_over_all_draws(model):
    params = flops = 0.0
    for probability, architecture in _choices(model):
        cost = model.space.cost(architecture)
        params += probability * (cost.params - model.space.base.params)
        flops += probability * (cost.flops - model.space.base.flops)
    expected = model.expected_cost()
    assert float(expected[0]) == pytest.approx(params, rel=1e-5)
    assert float(expected[1]) == pytest.approx(flops, rel=1e-5)


@pytest.mark.parametrize("factors", [(0.5, 0), (0, 0.25), (0.5, 0.25), (2, 0.25), (2, 2), (0, 0)])
def test_overrun_is_the_excess_over_the_room_of_each_bound(model, factors):
    base, bounds, expected = model.space.base, [], 0.0
    for own, cost, factor in zip((base.params, base.flops), model.expected_cost(), factors, strict=True):
        room = max(1, round(factor * float(cost)))
        bounds.append(own + room if factor else 0)
        expected += max(0.0, float(cost) / room - 1) if factor else 0.0
    model.budget = spec.Budget(*bounds)
    assert float(model.overrun()) == pytest.approx(expected, rel=1e-5)
    assert (expected > 0) == any(0 < factor < 1 for factor in factors)


def test_inside_the_budget_the_overrun_has_no_gradient():
    model = _search(max_params=10_000)
    with tf.GradientTape() as tape:
        overrun = model.overrun()
    assert float(overrun) == 0
    gradients = tape.gradient(overrun, [alpha.value for alpha in model.supernet.alphas()])
    assert all(gradient is None or not np.any(gradient) for gradient in gradients)


def test_it_proposes_the_most_probable_architecture_that_fits(model):
    probabilities = {}
    for probability, architecture in _choices(model):
        if model.budget.admits(model.space.cost(architecture)):
            canonical = model.space.canonical(architecture)
            probabilities[canonical] = probabilities.get(canonical, 0) + probability
    proposed = model.propose(3, seed=0)
    assert proposed == sorted(probabilities, key=probabilities.get, reverse=True)[:3]


def test_scalars_name_every_probability(model):
    record = model.scalars()
    base, expected = model.space.base.params, float(model.expected_cost()[0])
    assert record["expected_params"] == pytest.approx(base + expected)
    for index, cell in enumerate(model.supernet.cells):
        operations, chain, feed_back = cell.probabilities()
        for name, probability in zip(tiny.OPS, operations, strict=True):
            assert record[f"addon{index + 1}/{name}"] == pytest.approx(float(probability))
        assert record[f"addon{index + 1}/chain"] == pytest.approx(float(chain))
        assert record[f"addon{index + 1}/feed_back"] == pytest.approx(float(feed_back))


def test_keras_fit_drives_the_bilevel_step():
    model = _search()
    model.objective = objective.Objective("ce")
    batches = loop.Bilevel(tiny.make_batches(DATA.train, 9), tiny.make_batches(DATA.val, 9))
    alphas, weights = model.supernet.alphas(), model.supernet.weights()
    before = _values([*alphas, *weights])
    model.compile(jit_compile=False)
    rows = model.fit(batches.dataset(0, 2), epochs=1, steps_per_epoch=2, shuffle=False, verbose=0).history
    assert sum(_moved(before, [*alphas, *weights])) == len(before) - 1
    assert set(rows) == {"loss", "accuracy", "alpha_loss"}
    assert int(model.weight_optimizer.iterations) == int(model.alpha_optimizer.iterations) == 2
