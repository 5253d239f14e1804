"""The bilevel search of first order: who learns from what, and along which gradient."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

DATA = tiny.make_splits()
WARMUP = 2


def _search(**changes):
    return tiny.scatter_alphas(tiny.make_search("darts", 2, "oracle", **changes))


@pytest.fixture
def model():
    return _search()


def test_a_train_step_learns_alphas_from_validation_and_weights_from_training(model, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "alpha_step", lambda *batches: asked.append(("alphas", *batches)))
    monkeypatch.setattr(model, "weight_step", lambda batch: asked.append(("weights", batch)))
    monkeypatch.setattr(model, "sharpen", lambda: asked.append("sharpen"))
    model.train_step(("training", "validation"))
    assert asked == ["sharpen", ("alphas", "training", "validation"), ("weights", "training")]


def test_the_first_order_step_sees_the_validation_batch_alone(model, monkeypatch):
    seen = []
    found = ([tf.zeros(alpha.shape) for alpha in model.supernet.alphas()], tf.zeros([]))
    monkeypatch.setattr(model.alphas, "gradients", lambda of, batch: seen.append(batch) or found)
    training, validation = ({"label": [0, 1], "of": of} for of in ("training", "validation"))
    model.alpha_step(training, validation)
    assert seen == [validation]


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (2, 1), (4, 2), (6, 4), (8, 8), (9, 8)])
def test_the_mixture_is_sharpened_from_the_end_of_the_warm_up_on(step, expected):
    model = _search(steps=8, warmup_steps=WARMUP, sharpness=8.0)
    model.weight_optimizer.iterations.assign(step)
    model.sharpen()
    for cell in model.supernet.cells:
        assert float(cell.sharpness) == pytest.approx(expected)


def test_the_alpha_gradient_is_that_of_the_validation_loss(model):
    batch = tiny.make_batch(DATA.val)
    for cell in model.supernet.cells:
        cell.sharpness.assign(1.5)
    gradients, loss = model.alphas.gradients(model, batch)

    @tf.function
    def objective_now():
        return model.objective(batch, model.network(batch["image"], training=True), batch["teacher_logits"])

    assert float(objective_now()) == pytest.approx(float(loss), rel=1e-5)
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
