"""What everything that trains must do in sixteen bits: nearly what it does in 32, and no variable in less."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import losses, search
from okd_tf.arch import space, spec
from okd_tf.ops import OPS, batch_norm, precision
from okd_tf.search import loop as search_loop
from okd_tf.training import classifier, loop, mutual, objective, optimizers

MIXED = (precision.BFLOAT16, precision.FLOAT16)
SCALE = 2.0**10  # so low that no step is skipped; far more than what is called near
NEAR = 0.2  # of the size of an update
RATE = 0.01
DATA = tiny.make_splits(train=27)
TRAINING, VALIDATION = tiny.make_batch(DATA.train), tiny.make_batch(DATA.val)
STEPS, EPOCHS, PER_EPOCH, CUT = 3, 2, 3, 4
SEARCHES = {**{name: {} for name in search.STRATEGIES}, "darts, unrolled": {"unrolled": True}}


def _cases(names, cheap, *more):
    """Each name in each precision; all but the `cheap` one are slow, and more than that, as is said."""
    slow = [pytest.mark.slow, *more]
    return [
        pytest.param(name, compute, marks=[] if (name, compute) == cheap else slow)
        for name in names
        for compute in MIXED
    ]


def _flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def _assert_near(found, expected):
    """About as large, and in the same direction."""
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=NEAR)
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.95


def _search(kind, compute):
    name, _, _ = kind.partition(",")
    backbone = tiny.make_backbone()
    model = search_loop.make_model(
        backbone,
        space.SearchSpace.around(backbone, ("identity", "sep_conv_3x3", "max_pool_3x3")),
        spec.Budget(),
        name,
        objective.Objective("oracle", 2.0),
        dataclasses.replace(tiny.make_recipe(), learning_rate=RATE, compute=compute),
        tiny.make_options(
            controller_updates=1,
            controller_children=2,
            alpha_learning_rate=0.01,
            compute=compute,
            **SEARCHES[kind],
        ),
        EPOCHS,
        tiny.make_batches(DATA.train, 9),
    )
    return tiny.scatter_alphas(model), model.network


def _training(loss, compute):
    """(model, its network) of a classifier, or of a pair where the loss is of two."""
    keras.utils.set_random_seed(0)
    first, second = (batch_norm.fused_copy(tiny.make_backbone().model, compute=compute) for _ in range(2))
    chosen = objective.Objective(loss, 2.0)
    rate = optimizers.scaling(optimizers.sgd(RATE, "cosine", EPOCHS * PER_EPOCH), compute)
    if loss in losses.NEEDS_PEERS:
        return mutual.Pair([first, second], chosen, rate, 1e-3), first
    return classifier.Classifier(first, chosen, rate, 1e-3), first


@dataclasses.dataclass(frozen=True)
class Moved:
    """What some steps made of a training: of what they moved, by how much."""

    weights: np.ndarray
    alphas: np.ndarray | None
    alpha_gradients: np.ndarray | None  # their moving averages, which Adam makes a step of any size of
    losses: list


def _moved(make, kind, compute):
    """Some steps on one batch, from the same variables in every precision."""
    model, network = make(kind, compute)
    for variable, value in zip(model.variables, _start(make, kind), strict=True):
        variable.assign(value)
    if compute == precision.FLOAT16:
        for optimizer in model.all_optimizers().values():
            optimizer.dynamic_scale.assign(SCALE)
    alphas = model.supernet.alphas() if make is _search else []
    others = [one for one in model.trainable_variables if not any(one is alpha for alpha in alphas)]
    before = [tiny.values(part) for part in (others, alphas)]
    batch = (TRAINING, VALIDATION) if getattr(model, "bilevel", False) else TRAINING
    step = tf.function(lambda: (model.reset_metrics(), model.train_step(batch))[1]["loss"], jit_compile=False)
    found = [float(step()) for _ in range(STEPS)]
    assert {one.dtype for one in [*model.variables, *model.optimizer_variables()]} <= {
        *("float32", "int32", "int64"),
    }
    assert network.outputs[0].dtype == "float32"
    inside = {layer.compute_dtype for layer in network.layers if isinstance(layer, keras.layers.Conv2D)}
    assert inside == {compute}
    updates = [
        _flat([new - old for new, old in zip(tiny.values(part), old_part, strict=True)])
        for part, old_part in zip((others, alphas), before, strict=True)
        if part
    ]
    if not alphas:
        return Moved(updates[0], None, None, found)
    averages = [one for one in model.alphas.optimizer.variables if "momentum" in one.path]
    assert len(averages) == len(alphas)
    return Moved(*updates, _flat(tiny.values(averages)), found)


@functools.cache
def _start(make, kind):
    return tiny.values(make(kind, precision.FLOAT32)[0].variables)


@functools.cache
def _in_float32(make, kind):
    return _moved(make, kind, precision.FLOAT32)


def _assert_moves_as_in_float32(make, kind, compute):
    found, expected = _moved(make, kind, compute), _in_float32(make, kind)
    _assert_near(found.weights, expected.weights)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=0.1)
    if expected.alphas is not None:
        _assert_near(found.alphas, expected.alphas)
        _assert_near(found.alpha_gradients, expected.alpha_gradients)
    return found


@pytest.mark.parametrize(("kind", "compute"), _cases(SEARCHES, cheap=None))
def test_a_search_moves_weights_and_alphas_as_in_float32(kind, compute):
    _assert_moves_as_in_float32(_search, kind, compute)


@pytest.mark.parametrize(
    ("loss", "compute"), _cases(losses.KD_LOSSES, ("oracle", "float16"), pytest.mark.exhaustive)
)
def test_a_training_moves_weights_as_in_float32_and_its_loss_falls(loss, compute):
    found = _assert_moves_as_in_float32(_training, loss, compute)
    assert found.losses[-1] < found.losses[0]


@pytest.mark.parametrize(("name", "compute"), _cases(OPS, ("conv_3x3", "float16"), pytest.mark.exhaustive))
def test_an_operation_gives_about_what_it_gives_in_float32(name, compute):
    operations = [OPS[name](dtype=precision.policy(one)) for one in (precision.FLOAT32, compute)]
    generator = np.random.default_rng(1)
    inputs, upstream = (generator.normal(size=(4, 6, 5, 8)).astype(np.float32) for _ in range(2))
    found = []
    for operation in operations:
        operation.build(inputs.shape)
        operation.set_weights(operations[0].get_weights())
    for operation in operations:
        pixels = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            outputs = operation(pixels, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * upstream)
        sources = [pixels, *(weight.value for weight in operation.trainable_variables)]
        found.append([tf.cast(outputs, tf.float32), *tape.gradient(loss, sources)])
        assert {weight.dtype for weight in operation.weights} <= {"float32"}
        assert outputs.dtype == operation.compute_dtype
    for one, other in zip(*found, strict=True):
        assert other.dtype == tf.float32
        _assert_near(_flat([other]), _flat([one]))
    for one, other in zip(*(operation.non_trainable_variables for operation in operations), strict=True):
        np.testing.assert_allclose(other, one, rtol=0.02, atol=0.01)


def _resumable(make, kind, compute, folder, stop=EPOCHS * PER_EPOCH):
    """A training of two epochs, killed at a step or not: (its state, its history without times)."""
    model, _ = make(kind, compute)
    if compute == precision.FLOAT16:
        for optimizer in model.all_optimizers().values():
            optimizer.dynamic_scale.assign(16.0)
            optimizer.dynamic_growth_steps = 2  # so that scale and count are not what they begin with
    logits = np.random.default_rng(5).normal(size=(27, 2, tiny.CLASSES)).astype(np.float32)
    batches = tiny.make_batches(DATA.train, 9, teacher_logits=lambda rows, views: logits[rows])
    if getattr(model, "bilevel", False):
        of_val = tiny.make_batches(DATA.val, 9, teacher_logits=lambda rows, views: logits[rows])
        batches = search_loop.Bilevel(batches, of_val)
    rows = loop.fit(
        *(model, tiny.CutBatches(batches, stop)),
        epochs=EPOCHS,
        folder=folder,
        title="",
        checkpoint_seconds=0.0,
    )
    return model, [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def _assert_resumes(make, kind, compute, folder):
    whole, rows = _resumable(make, kind, compute, folder / "whole")
    with pytest.raises(tf.errors.OutOfRangeError):
        _resumable(make, kind, compute, folder / "killed", CUT)
    resumed, resumed_rows = _resumable(make, kind, compute, folder / "killed")
    tiny.assert_same_state(resumed, whole)
    assert resumed_rows == rows
    if compute == precision.FLOAT16:
        assert rows[0]["weights/loss_scale"] != rows[-1]["weights/loss_scale"]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("compute", MIXED)
@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_killed_and_resumed_ends_in_the_same_bits(kind, compute, tmp_path):
    _assert_resumes(_search, kind, compute, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("compute", MIXED)
@pytest.mark.parametrize("loss", ["oracle", "mutual"])
def test_a_training_killed_and_resumed_ends_in_the_same_bits(loss, compute, tmp_path):
    _assert_resumes(_training, loss, compute, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SEARCHES if "darts" in kind])
def test_a_search_goes_on_where_gradients_overflow_until_the_scale_is_found(kind):
    model, _ = _search(kind, precision.FLOAT16)
    for optimizer in model.all_optimizers().values():
        optimizer.dynamic_scale.assign(2.0**18)
    before = [tiny.values(part) for part in (model.supernet.weights(), model.supernet.alphas())]
    step = tf.function(lambda: model.train_step((TRAINING, VALIDATION)), jit_compile=False)
    logs = [step() for _ in range(EPOCHS * PER_EPOCH)]
    assert all(np.isfinite(value) for one in logs for value in one.values())
    for part, old in zip((model.supernet.weights(), model.supernet.alphas()), before, strict=True):
        assert any(tiny.moved(old, part))
    assert all(np.all(np.isfinite(value)) for value in tiny.state(model))
    scales = [float(optimizer.dynamic_scale) for optimizer in model.all_optimizers().values()]
    assert all(2.0**8 < scale < 2.0**18 for scale in scales)
