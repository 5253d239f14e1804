"""Trains the kinds named as arguments on one device and on two logical ones; prints how much they differ.

A kind is a training, after which may come a precision; or "step", "clipping", "kept: " and how,
or "checkpoints of" a training.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.arch import space, spec
from okd_tf.ops import batch_norm
from okd_tf.search import STRATEGIES, ranking, telemetry
from okd_tf.search import loop as search_loop
from okd_tf.teachers import bank, shards, store
from okd_tf.training import (
    checkpoint,
    classifier,
    distribution,
    loop,
    mutual,
    objective,
    optimizers,
    recipe,
)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import tiny

# Before the first tensor is made.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

DATA = tiny.make_splits()
BATCH, STEPS, RATE = 12, 6, 0.01
CUT = 4  # in the middle of the second epoch
OPS = ("conv_3x3", "max_pool_3x3")
SEARCHES = {name: (name, {}) for name in STRATEGIES} | {"darts, unrolled": ("darts", {"unrolled": True})}


def fresh(strategy, seed, compute):
    """A network from a seed, as it trains."""
    keras.utils.set_random_seed(seed)
    return batch_norm.fused_copy(tiny.make_backbone().model, strategy.num_replicas_in_sync > 1, compute)


def sgd(compute):
    """The optimizer of all weights."""
    return optimizers.scaling(optimizers.sgd(RATE, "cosine", STEPS), compute)


def make_classifier(strategy, compute="float32", loss="ce", teachers=None, clip_norm=0.0, **gentle):
    """(classifier from a fixed seed, nothing to do at the end of an epoch), under a strategy."""
    with strategy.scope():
        network = fresh(strategy, 0, compute)
        asked = objective.Objective(loss, live_teachers=teachers and teachers.live)
        return classifier.Classifier(network, asked, sgd(compute), 1e-2, clip_norm, **gentle), None


def make_gentle(strategy, compute="float32"):
    """The same, of which some layers stand still for two of the steps and are then slower than the others."""
    kept = {"is_kept": ("conv1", "bn1").__contains__, "warm_rate": 0.5, "frozen_steps": 2}
    return make_classifier(strategy, compute, **kept)


def make_pair(strategy, compute="float32"):
    """(two that teach each other, nothing to do at the end of an epoch), under a strategy."""
    with strategy.scope():
        pair = [fresh(strategy, seed, compute) for seed in (0, 1)]
        return mutual.Pair(pair, objective.Objective("mutual", 2.0), sgd(compute), weight_decay=1e-2), None


def make_search(kind, strategy, compute="float32"):
    """(model, what to do at the end of an epoch) of a search from a fixed seed, under a strategy."""
    name, changes = SEARCHES[kind]
    how = dataclasses.replace(tiny.make_recipe(strategy), learning_rate=RATE, compute=compute)
    backbone = tiny.make_backbone()
    of = space.SearchSpace.around(backbone, OPS)
    training = tiny.make_batches(DATA.train, BATCH)
    options = tiny.make_options(
        controller_updates=2, controller_children=3, alpha_learning_rate=RATE, compute=compute, **changes
    )
    # So tight that the budget term has a gradient.
    budget = spec.Budget(of.base.params + 50)
    model = search_loop.make_model(
        *(backbone, of, budget, name, objective.Objective("ce"), how, options),
        *(STEPS // training.steps_per_epoch, training),
    )
    validation = tiny.make_batches(DATA.val, BATCH)
    # Telemetry is of any strategy; it is looked at of one, for the time it takes.
    if kind != "darts":
        return model, lambda: model.end_epoch(validation, strategy)
    return model, telemetry.Telemetry(model, of, ranking.Ranker(backbone, of, model.supernet, DATA)).look


def write_bank(folder):
    """A bank on disk of two teachers that disagree: a reader of its training part."""
    key, views = {"the dataset": DATA.name}, bank.views(2)
    generator = np.random.default_rng(0)
    shards.fill(
        folder,
        bank.plan(DATA, 2, 2, key),
        lambda part, view, start, stop: generator.normal(scale=3, size=(stop - start, 2, tiny.CLASSES)),
        np.ones((2, len(DATA.train)), bool),
    )
    return store.read(folder, key, views).reader("train")


def make_batches(bilevel=False, stored=None, stop=STEPS):
    """Batches of a training that ends early, at a step; with stored logits, classes have weights too."""
    batches = tiny.make_batches(
        DATA.train,
        BATCH,
        augmentation=DATA.augmentation,
        num_views=2,
        teacher_logits=stored,
        class_weights=None if stored is None else np.array([0.25, 0.75, 2.0], np.float32),
    )
    if bilevel:
        batches = search_loop.Bilevel(batches, tiny.make_batches(DATA.val, BATCH))
    return tiny.CutBatches(batches, stop)


def train(make, bilevel, strategy, stored=None):
    """(model, its trainable variables at the start, last row of the history) of a training."""
    model, at_epoch_end = make(strategy)
    start = tiny.values(model.trainable_variables)
    batches = make_batches(bilevel, stored)
    epochs = STEPS // batches.steps_per_epoch
    with tempfile.TemporaryDirectory() as folder:
        rows = loop.fit(
            model,
            batches,
            epochs=epochs,
            folder=folder,
            title="",
            strategy=strategy,
            at_epoch_end=at_epoch_end,
            steps_per_execution=2,
        )
    return model, start, rows[-1] if rows else {}


def largest(ones, others):
    """The largest difference between two lists of arrays."""
    return max(float(np.max(np.abs(one - other))) for one, other in zip(ones, others, strict=True))


def largest_ratio(ones, others):
    """The same, relative to what is above one."""
    return max(
        float(np.max(np.abs(one - other) / np.maximum(1.0, np.abs(one))))
        for one, other in zip(ones, others, strict=True)
    )


def differences(make, bilevel=False, stored=None):
    """By how much two devices differ from one, and one from its beginning."""
    one, start, row = train(make, bilevel, distribution.make("none", BATCH), stored)
    two, _, mirrored_row = train(make, bilevel, distribution.make("mirrored", BATCH), stored)
    learnt, mirrored = (
        np.concatenate([np.ravel(new - old) for new, old in zip(end, start, strict=True)])
        for end in (tiny.values(model.trainable_variables) for model in (one, two))
    )
    return {
        "learnt": float(np.max(np.abs(learnt))),
        "weights": float(np.max(np.abs(learnt - mirrored))),
        # Of the whole update, as vectors.
        "ratio": float(np.linalg.norm(learnt - mirrored) / np.linalg.norm(learnt)),
        "statistics": largest_ratio(*(tiny.values(model.non_trainable_variables) for model in (one, two))),
        # Of what is above one, such as a number of parameters, relative to it.
        "history": max(
            abs(row[name] - mirrored_row[name]) / max(1.0, abs(row[name]))
            for name in row
            if name != "seconds"
        ),
    }


def refusal():
    """What is said of a batch of odd size."""
    try:
        distribution.make("mirrored", BATCH + 1)
    except errors.UserError as error:
        return str(error)
    return "none"


def step(compute):
    """What one step of the optimizers makes of gradients that differ between the devices.

    Of [2, 1] and [1, 3] at the weights [1, 2], clipped to a norm of 4, with L2 of 0.1 at a rate of 0.5; then
    of gradients that are infinite on the second device alone.
    """
    strategy = distribution.make("mirrored", BATCH)
    with strategy.scope():
        weight = keras.Variable([1.0, 2.0])
        optimizer = optimizers.scaling(keras.optimizers.SGD(0.5), compute)
        optimizer.build([weight])
    parts = tf.constant([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 1.0], [np.inf, 1.0]]])

    @tf.function(jit_compile=False)
    def apply(parts):
        def replica():
            share = parts[tf.distribute.get_replica_context().replica_id_in_sync_group]
            scaled = [share * optimizer.scale_loss(tf.ones([]))]
            optimizers.apply(
                optimizer,
                optimizers.unscaled(optimizer, scaled),
                [weight],
                clip_norm=4.0,
                beside=lambda gradients: optimizers.with_l2(gradients, [weight], 0.1),
            )

        strategy.run(replica)

    found = []
    for gradients in parts:
        apply(gradients)
        of_devices = [part.numpy().tolist() for part in strategy.experimental_local_results(weight.value)]
        found.append({"weights": of_devices, "iterations": int(optimizer.iterations.numpy())})
        found[-1].update(optimizers.scalars(optimizer, "weights"))
    return found


def clipping():
    """A training whose bound lies between the norm of either device's gradients and that of their sum."""
    strategy = distribution.make("mirrored", BATCH)
    model, _ = make_classifier(strategy)
    weights = model.network.trainable_variables

    def norms(batch):
        with tf.GradientTape() as tape:
            loss = model.objective(batch, model.network(batch["image"], training=True), None)
        own = tape.gradient(loss, weights)
        both = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)
        return tf.linalg.global_norm(own), tf.linalg.global_norm(both)

    batch = next(iter(loop.distribute(make_batches(), 0, 1, strategy)))
    parts, sums = map(
        strategy.experimental_local_results,
        tf.function(strategy.run, jit_compile=False)(norms, args=(batch,)),
    )
    bound = (max(map(float, parts)) + float(sums[0])) / 2
    clipped = differences(lambda strategy: make_classifier(strategy, clip_norm=bound))
    free = differences(make_classifier)
    return {**clipped, "parts": list(map(float, parts)), "bound": bound, "sum": float(sums[0]), "free": free}


def checkpoints(make, bilevel):
    """What a checkpoint that was written on one device gives on two, and the other way round."""
    found = {}
    for written, read in (("none", "mirrored"), ("mirrored", "none")):
        with tempfile.TemporaryDirectory() as folder:
            first, second = (distribution.make(name, BATCH) for name in (written, read))
            saved, (model, _) = [], make(first)
            save = checkpoint.Checkpointer.save

            def remember(checkpointer, step, save=save, saved=saved, model=model):
                saved.append((step, tiny.state(model)))
                save(checkpointer, step)

            with mock.patch.object(checkpoint.Checkpointer, "save", remember):
                fit(model, bilevel, folder, first, stop=CUT)
            step, left = saved[-1]
            other, _ = make(second)
            assert any(map(_differ, left, tiny.state(other)))
            restored = checkpoint.Checkpointer(
                pathlib.Path(folder) / "checkpoints", variables(other)
            ).restore()
            different = sum(map(_differ, left, tiny.state(other)))
            examples = float(other.accuracy_metric.count.numpy())
            rows = fit(other, bilevel, folder, second)
            whole, _ = make(first)
            whole_rows = fit(whole, bilevel, pathlib.Path(folder) / "whole", first)
            found[f"{written} to {read}"] = {
                "steps": [step, restored],
                "variables": len(left),
                "different": different,
                "examples": examples,
                "weights": largest(*(tiny.values(one.trainable_variables) for one in (other, whole))),
                "history": max(
                    abs(row[name] - whole_row[name])
                    for row, whole_row in zip(rows, whole_rows, strict=True)
                    for name in row
                    if name != "seconds"
                ),
            }
    return found


def keep(how, strategy):
    """What a training under a strategy keeps: (weights, its figures; {} if others lead)."""
    plain = dataclasses.replace(tiny.make_recipe(strategy), keep=how, average_decay=0.9, learning_rate=RATE)
    with tempfile.TemporaryDirectory() as folder:
        trained = recipe.train(
            lambda: tiny.make_backbone().model,
            objective.Objective("ce"),
            make_batches(),
            DATA.val,
            epochs=2,
            seed=0,
            recipe=plain,
            folder=folder,
            logs=pathlib.Path(folder) / "logs",
            title="",
            save_to=pathlib.Path(folder) / "network.keras",
        )
    return trained.network.get_weights(), trained.metrics()["val"] if plain.crew.leads else {}


def kept(how, strategy):
    """By how much what a strategy keeps differs from what one device does; {} if others lead."""
    two, others = keep(how, strategy)
    if not others:
        return {}
    one, figures = keep(how, distribution.make("none", BATCH))
    return {
        "weights": largest_ratio(one, two),
        "how": [figures["kept"]["how"], others["kept"]["how"]],
        "loss": abs(figures["kept"]["loss"] - others["kept"]["loss"]),
        "apart": abs(figures["kept"]["loss"] - figures["last"]["loss"]),
    }


def variables(model):
    """All that a checkpoint of a training holds, in the order of `tiny.state`."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.variables, *metrics, *model.optimizer_variables()]


def fit(model, bilevel, folder, strategy, stop=STEPS):
    """The history of a training of two epochs, or None if it is killed at a step."""
    batches = make_batches(bilevel, stop=stop)
    try:
        return loop.fit(
            *(model, batches),
            epochs=2,
            folder=folder,
            title="",
            strategy=strategy,
            checkpoint_seconds=0.0,
        )
    except tf.errors.OutOfRangeError:
        return None


def _differ(one, other):
    return not np.array_equal(one, other)


def difference(kind):
    """What `differences` says of a kind of training, or what else is asked."""
    name, _, compute = kind.rpartition(" in ")
    if name == "step":
        return step(compute)
    if kind == "clipping":
        return clipping()
    if name:
        return differences(*training(name, compute))
    if kind.startswith("kept: "):
        return kept(kind.removeprefix("kept: "), distribution.make("mirrored", BATCH))
    if kind.startswith("checkpoints of "):
        return checkpoints(*training(kind.removeprefix("checkpoints of ")))
    if kind == "classifier, stored logits":
        with tempfile.TemporaryDirectory() as folder:
            return differences(
                lambda strategy: make_classifier(strategy, loss="oracle"), stored=write_bank(folder)
            )
    return differences(*training(kind))


def training(kind, compute="float32"):
    """(strategy -> what `make_classifier` gives, whether its batches are pairs) of a kind of training."""
    if kind in SEARCHES:
        name, _ = SEARCHES[kind]
        return lambda strategy: make_search(kind, strategy, compute), STRATEGIES[name].bilevel
    if kind == "classifier, kept weights":
        return lambda strategy: make_gentle(strategy, compute), False
    if kind == "mutual":
        return lambda strategy: make_pair(strategy, compute), False
    if kind == "classifier, live teachers":
        # Outside of any strategy, as in a run.
        keras.utils.set_random_seed(7)
        teachers = tiny.make_ensemble([tiny.make_backbone().model for _ in range(2)], DATA)
        return lambda strategy: make_classifier(strategy, compute, "oracle", teachers), False
    return lambda strategy: make_classifier(strategy, compute), False


if __name__ == "__main__":
    print(json.dumps({"refusal": refusal(), **{kind: difference(kind) for kind in sys.argv[1:]}}))
