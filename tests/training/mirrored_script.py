"""Trains the kinds named as arguments on one device and on two logical ones; prints how much they differ."""

import json
import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.arch import space, spec
from okd_tf.ops import batch_norm
from okd_tf.search import STRATEGIES, ranking, supernet, telemetry
from okd_tf.search import loop as search_loop
from okd_tf.teachers import bank, shards, store
from okd_tf.training import classifier, distribution, loop, mutual, objective, optimizers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import tiny

# Before the first tensor is made.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

DATA = tiny.make_splits()
BATCH, STEPS = 12, 6
OPS = ("conv_3x3", "max_pool_3x3")
SEARCHES = {name: (name, {}) for name in STRATEGIES} | {"darts, unrolled": ("darts", {"unrolled": True})}


def make_classifier(strategy, loss="ce"):
    """(classifier from a fixed seed, nothing to do at the end of an epoch), under a strategy."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = batch_norm.fused_copy(tiny.make_backbone().model, strategy.num_replicas_in_sync > 1)
        optimizer = optimizers.sgd(0.1, "cosine", STEPS)
        return classifier.Classifier(network, objective.Objective(loss), optimizer, weight_decay=1e-2), None


def make_pair(strategy):
    """(two that teach each other, nothing to do at the end of an epoch), under a strategy."""
    with strategy.scope():
        pair = []
        for seed in (0, 1):
            keras.utils.set_random_seed(seed)
            model = tiny.make_backbone().model
            pair.append(batch_norm.fused_copy(model, strategy.num_replicas_in_sync > 1))
        optimizer = optimizers.sgd(0.1, "cosine", STEPS)
        return mutual.Pair(pair, objective.Objective("mutual", 2.0), optimizer, weight_decay=1e-2), None


def make_search(kind, strategy):
    """(model, what to do at the end of an epoch) of a search from a fixed seed, under a strategy."""
    name, changes = SEARCHES[kind]
    with strategy.scope():
        keras.utils.set_random_seed(0)
        backbone = tiny.make_backbone()
        of = space.SearchSpace.around(backbone, OPS)
        chosen = STRATEGIES[name]
        model = chosen(
            supernet.make(backbone, of, chosen.cell, strategy.num_replicas_in_sync > 1),
            of,
            # So tight that the budget term has a gradient.
            spec.Budget(of.base.params + 50),
            objective.Objective("ce"),
            optimizers.sgd(0.1, "cosine", STEPS),
            tiny.make_options(controller_updates=2, controller_children=3, **changes),
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


def train(make, bilevel, strategy, stored=None):
    """(model, its trainable variables at the start, last row of the history) of a training."""
    model, at_epoch_end = make(strategy)
    start = tiny.values(model.trainable_variables)
    batches = tiny.make_batches(
        DATA.train, BATCH, augmentation=DATA.augmentation, num_views=2, teacher_logits=stored
    )
    if bilevel:
        batches = search_loop.Bilevel(batches, tiny.make_batches(DATA.val, BATCH))
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


def differences(make, bilevel=False, stored=None):
    """By how much two devices differ from one, and one from its beginning."""
    one, start, row = train(make, bilevel, distribution.make("none", BATCH), stored)
    two, _, mirrored_row = train(make, bilevel, distribution.make("mirrored", BATCH), stored)
    return {
        "learnt": largest(start, tiny.values(one.trainable_variables)),
        "weights": largest(*(tiny.values(model.trainable_variables) for model in (one, two))),
        "statistics": largest(*(tiny.values(model.non_trainable_variables) for model in (one, two))),
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


def difference(kind):
    """What `differences` says of a kind of training."""
    if kind in SEARCHES:
        name, _ = SEARCHES[kind]
        return differences(lambda strategy: make_search(kind, strategy), STRATEGIES[name].bilevel)
    if kind == "mutual":
        return differences(make_pair)
    if kind == "classifier":
        return differences(make_classifier)
    with tempfile.TemporaryDirectory() as folder:
        return differences(lambda strategy: make_classifier(strategy, "oracle"), stored=write_bank(folder))


if __name__ == "__main__":
    print(json.dumps({"refusal": refusal(), **{kind: difference(kind) for kind in sys.argv[1:]}}))
