"""Trains each kind of model on one device and on two logical ones; prints as JSON by how much they differ."""

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
from okd_tf.search import STRATEGIES, supernet
from okd_tf.search import loop as search_loop
from okd_tf.training import classifier, distribution, loop, objective, optimizers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import tiny

# Before the first tensor is made.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

DATA = tiny.make_splits()
BATCH, STEPS = 12, 6
OPS = ("conv_3x3", "max_pool_3x3")


def make_classifier(strategy):
    """A classifier from a fixed seed, under a strategy."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = batch_norm.fused_copy(tiny.make_backbone().model, strategy.num_replicas_in_sync > 1)
        optimizer = optimizers.sgd(0.1, "cosine", STEPS)
        return classifier.Classifier(network, objective.Objective("ce"), optimizer, weight_decay=1e-2)


def make_search(name, strategy):
    """A search from a fixed seed, under a strategy."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        backbone = tiny.make_backbone()
        of = space.SearchSpace.around(backbone, OPS)
        chosen = STRATEGIES[name]
        return chosen(
            supernet.make(backbone, of, chosen.cell, strategy.num_replicas_in_sync > 1),
            of,
            # So tight that the budget term has a gradient.
            spec.Budget(of.base.params + 50),
            objective.Objective("ce"),
            optimizers.sgd(0.1, "cosine", STEPS),
            tiny.make_options(),
        )


def train(make, bilevel, strategy):
    """(model, last row of the history) of a training."""
    model = make(strategy)
    batches = tiny.make_batches(DATA.train, BATCH, augmentation=DATA.augmentation)
    if bilevel:
        batches = search_loop.Bilevel(batches, tiny.make_batches(DATA.val, BATCH))
    epochs = STEPS // batches.steps_per_epoch
    with tempfile.TemporaryDirectory() as folder:
        rows = loop.fit(
            model, batches, epochs=epochs, folder=folder, title="", strategy=strategy, steps_per_execution=2
        )
    return model, rows[-1]


def largest(ones, others):
    """The largest difference between two lists of variables."""
    pairs = zip(ones, others, strict=True)
    return max(float(np.max(np.abs(one.numpy() - other.numpy()))) for one, other in pairs)


def differences(make, bilevel=False):
    """By how much two devices differ from one, and one from its beginning."""
    start = make(distribution.make("none", BATCH))
    one, row = train(make, bilevel, distribution.make("none", BATCH))
    two, mirrored_row = train(make, bilevel, distribution.make("mirrored", BATCH))
    return {
        "learnt": largest(start.trainable_variables, one.trainable_variables),
        "weights": largest(one.trainable_variables, two.trainable_variables),
        "statistics": largest(one.non_trainable_variables, two.non_trainable_variables),
        "history": max(abs(row[name] - mirrored_row[name]) for name in row if name != "seconds"),
    }


def refusal():
    """What is said of a batch of odd size."""
    try:
        distribution.make("mirrored", BATCH + 1)
    except errors.UserError as error:
        return str(error)
    return "none"


if __name__ == "__main__":
    report = {"refusal": refusal(), "classifier": differences(make_classifier)}
    for name, chosen in STRATEGIES.items():
        report[name] = differences(lambda strategy, name=name: make_search(name, strategy), chosen.bilevel)
    print(json.dumps(report))
