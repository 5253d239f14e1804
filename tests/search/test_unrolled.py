"""The second-order gradient of the alphas, against one that differentiates through the weights' step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf.ops import batch_norm
from okd_tf.search import unrolled

DATA = tiny.make_splits()
TRAINING, VALIDATION = tiny.make_batch(DATA.train), tiny.make_batch(DATA.val)
RATE, DECAY = 0.1, 1e-3
NEAR = 1e-3  # in place of 0.01: the difference of the sides errs by its square
OPS = ("identity", "conv_3x3", "sep_conv_3x3", "avg_pool_3x3")
FUSED = batch_norm.FusedBatchNormalization.call


@pytest.fixture(scope="module", autouse=True)
def smooth():
    """No kinks: where one lies between the two sides, a difference is not the derivative.

    And a batch norm that has a second gradient, as Keras's synchronised one has; the fused one has none.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_norm.FusedBatchNormalization, "call", keras.layers.BatchNormalization.call)
        patch.setattr(keras.layers.ReLU, "call", lambda self, inputs: keras.ops.softplus(inputs))
        yield


def _make(rate=RATE):
    return tiny.scatter_alphas(
        tiny.make_search(
            "darts",
            2,
            "oracle",
            rate,
            synchronized=True,
            ops=OPS,
            weight_decay=DECAY,
            sharpness=1.0,
            unrolled=True,
        )
    )


@pytest.fixture(scope="module")
def model():
    return _make()


@pytest.fixture(scope="module")
def calls(model):
    """What one evaluation gives and does: (gradients, loss, weights of each network that it evaluates)."""
    names = [id(variable) for variable in model.network.trainable_variables]
    places = [names.index(id(weight)) for weight in model.supernet.weights()]
    evaluated = []
    evaluate = keras.Model.stateless_call

    def spy(network, trainable, non_trainable, pixels, **kwargs):
        evaluated.append(([trainable[place].numpy() for place in places], pixels))
        return evaluate(network, trainable, non_trainable, pixels, **kwargs)

    before = tiny.state(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "stateless_call", spy)
        patch.setattr(unrolled, "EPSILON", NEAR)
        gradients, loss = unrolled.alpha_gradients(model, TRAINING, VALIDATION)
    return [gradient.numpy() for gradient in gradients], float(loss), evaluated, before


def _evaluate(model, weights, alphas, batch):
    """The loss at these tensors, training mode, and nothing is left behind."""
    given = {id(variable): value for variable, value in zip(model.supernet.weights(), weights, strict=True)}
    given |= {id(variable): value for variable, value in zip(model.supernet.alphas(), alphas, strict=True)}
    logits, _ = model.network.stateless_call(
        [given[id(variable)] for variable in model.network.trainable_variables],
        [tf.convert_to_tensor(variable) for variable in model.network.non_trainable_variables],
        batch["image"],
        training=True,
    )
    return model.objective(batch, logits, batch["teacher_logits"])


@pytest.fixture(scope="module")
def exact(model):
    """Of L_val(w'(alpha), alpha): (its gradient by differentiating w', that with w' held, w', v, L_val)."""

    @tf.function
    def differentiate():
        weights = [tf.convert_to_tensor(weight) for weight in model.supernet.weights()]
        alphas = [tf.convert_to_tensor(alpha) for alpha in model.supernet.alphas()]
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(alphas)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                loss = _evaluate(model, weights, alphas, TRAINING)
                loss += DECAY / 2 * tf.add_n([tf.reduce_sum(weight**2) for weight in weights])
            ahead = [
                weight - RATE * gradient
                for weight, gradient in zip(weights, inner.gradient(loss, weights), strict=True)
            ]
            held = [tf.stop_gradient(weight) for weight in ahead]
            outer.watch(held)
            loss = _evaluate(model, ahead, alphas, VALIDATION)
            held_loss = _evaluate(model, held, alphas, VALIDATION)
        return (
            outer.gradient(loss, alphas, unconnected_gradients="zero"),
            outer.gradient(held_loss, alphas, unconnected_gradients="zero"),
            ahead,
            outer.gradient(held_loss, held),
            loss,
        )

    return tf.nest.map_structure(lambda tensor: tensor.numpy(), differentiate())


def _flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def _cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


def test_the_gradient_is_that_through_the_step_of_the_weights(model, calls, exact):
    found = _flat(calls[0])
    expected = _flat(exact[0])
    assert _cosine(found, expected) > 0.9999
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.max(np.abs(expected)))
    assert calls[1] == pytest.approx(exact[4], rel=1e-4)


def test_the_step_in_use_is_near_enough_where_there_are_no_kinks(model, exact):
    assert unrolled.EPSILON == 0.01
    found, _ = unrolled.alpha_gradients(model, TRAINING, VALIDATION)
    assert _cosine(_flat(found), _flat(exact[0])) > 0.9999


def test_what_the_second_order_adds_is_right_on_its_own(model, calls, exact):
    held = _flat(exact[1])
    found = _flat(calls[0]) - held
    expected = _flat(exact[0]) - held
    # It is no small correction here, or rounding would decide.
    assert np.linalg.norm(expected) > 0.05 * np.linalg.norm(held)
    assert _cosine(found, expected) > 0.9999
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=1e-3)


def test_the_networks_evaluated_are_w_w_ahead_and_two_sides_of_w(model, calls, exact):
    now, ahead = tiny.values(model.supernet.weights()), exact[2]
    (first, of_first), (second, of_second), (plus, of_plus), (minus, of_minus) = calls[2]
    for found, own in zip(first, now, strict=True):
        np.testing.assert_array_equal(found, own)
    np.testing.assert_allclose(_flat(second), _flat(ahead), atol=1e-5)
    direction = _flat(exact[3])
    shift = NEAR * direction / np.linalg.norm(direction)
    # Weights are of order 1, whose last place is 1e-7.
    np.testing.assert_allclose(_flat(plus) - _flat(now), shift, atol=2e-7)
    np.testing.assert_allclose(_flat(minus) - _flat(now), -shift, atol=2e-7)
    assert np.max(np.abs(shift)) > 1e-5
    for pixels, batch in (
        (of_first, TRAINING),
        (of_second, VALIDATION),
        (of_plus, TRAINING),
        (of_minus, TRAINING),
    ):
        np.testing.assert_array_equal(pixels, batch["image"])


def test_the_two_sides_have_gradients_as_far_apart_as_the_curvature_says(model, calls, exact):
    alphas = [tf.convert_to_tensor(alpha) for alpha in model.supernet.alphas()]
    sides = []
    for weights, _ in calls[2][2:]:
        with tf.GradientTape() as tape:
            tape.watch(alphas)
            loss = _evaluate(model, [tf.constant(weight) for weight in weights], alphas, TRAINING)
        sides.append(_flat(tape.gradient(loss, alphas, unconnected_gradients="zero")))
    # What the difference of the sides is to the implicit term.
    implicit = _flat(exact[0]) - _flat(exact[1])
    expected = 2 * NEAR / np.linalg.norm(_flat(exact[3])) / -RATE * implicit
    np.testing.assert_allclose(sides[0] - sides[1], expected, atol=0.01 * np.max(np.abs(expected)))


def test_nothing_is_left_behind(model, calls):
    # Weights, moving statistics, alphas, optimizers.
    for before, now in zip(calls[3], tiny.state(model), strict=True):
        np.testing.assert_array_equal(before, now)


def test_it_is_not_the_gradient_of_first_order(model, calls):
    first, _ = model.alphas.gradients(model, VALIDATION)
    assert _cosine(_flat(calls[0]), _flat(first)) < 0.999


def test_at_a_rate_of_zero_it_is_the_gradient_of_first_order():
    model = _make(rate=0.0)
    found, loss = unrolled.alpha_gradients(model, TRAINING, VALIDATION)
    first, first_loss = model.alphas.gradients(model, VALIDATION)
    np.testing.assert_allclose(_flat(found), _flat(first), rtol=1e-4, atol=1e-6)
    assert float(loss) == pytest.approx(float(first_loss))


def test_the_fused_kernel_gives_the_same_gradient(calls, monkeypatch):
    monkeypatch.setattr(batch_norm.FusedBatchNormalization, "call", FUSED)
    monkeypatch.setattr(unrolled, "EPSILON", NEAR)
    fused = tiny.scatter_alphas(
        tiny.make_search("darts", 2, "oracle", ops=OPS, weight_decay=DECAY, sharpness=1.0, unrolled=True)
    )
    found, _ = tf.function(lambda: unrolled.alpha_gradients(fused, TRAINING, VALIDATION))()
    np.testing.assert_allclose(_flat(found), _flat(calls[0]), atol=0.01 * np.max(np.abs(_flat(calls[0]))))


@pytest.mark.parametrize(
    ("second", "expected"), [(True, ("second", "training", "validation")), (False, ("first", "validation"))]
)
def test_the_option_decides_which_order_a_step_is_of(monkeypatch, second, expected):
    model = tiny.make_search("darts", unrolled=second)
    asked = []
    found = ([tf.zeros(alpha.shape) for alpha in model.supernet.alphas()], tf.zeros([]))
    monkeypatch.setattr(model.alphas, "gradients", lambda of, batch: asked.append(("first", batch)) or found)
    monkeypatch.setattr(
        unrolled, "alpha_gradients", lambda model, *batches: asked.append(("second", *batches)) or found
    )
    model.alpha_step(*({"label": [0, 1], "of": of} for of in ("training", "validation")))
    ((order, *batches),) = asked
    assert (order, *(batch["of"] for batch in batches)) == expected
