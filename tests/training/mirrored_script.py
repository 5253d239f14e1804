"""Trains each kind of model on one device and on two logical ones; prints by how much their weights differ."""

import json
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import tiny  # noqa: E402 - devices are configured before anything is computed
from okd_tf.arch import spec  # noqa: E402
from okd_tf.ops import batch_norm  # noqa: E402
from okd_tf.search import STRATEGIES, loop as search_loop, supernet  # noqa: E402
from okd_tf.training import classifier, distribution, loop, objective, optimizers  # noqa: E402

DATA = tiny.make_splits()
STEPS = 6


def make_classifier(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = batch_norm.fused_copy(tiny.make_backbone().model, strategy.num_replicas_in_sync > 1)
        return classifier.Classifier(
            network, objective.Objective("ce"), optimizers.sgd(0.1, "cosine", STEPS), 1e-2
        )


def make_search(name, strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        backbone = tiny.make_backbone()
        space = tiny.make_space(backbone)
        chosen = STRATEGIES[name]
        net = supernet.make(backbone, space, chosen.cell, strategy.num_replicas_in_sync > 1)
        return chosen(
            net,
            space,
            spec.Budget(space.base.params + 30),
            objective.Objective("ce"),
            optimizers.sgd(0.1, "cosine", STEPS),
            tiny.make_options(),
        )


def train(make, bilevel, strategy):
    model = make(strategy)
    batches = tiny.make_batches(DATA.train, 12, augmentation=DATA.augmentation)
    if bilevel:
        batches = search_loop.Bilevel(batches, tiny.make_batches(DATA.val, 12))
    with tempfile.TemporaryDirectory() as folder:
        rows = loop.fit(
            model,
            batches,
            epochs=STEPS // batches.steps_per_epoch,
            folder=folder,
            title="",
            strategy=strategy,
            steps_per_execution=2,
        )
    return model, rows


def differences(make, bilevel=False):
    one, rows = train(make, bilevel, distribution.make("none", 12))
    two, mirrored_rows = train(make, bilevel, distribution.make("mirrored", 12))
    found = {
        name: max(
            float(np.max(np.abs(mine.numpy() - theirs.numpy())))
            for mine, theirs in zip(getattr(one, name), getattr(two, name), strict=True)
        )
        for name in ("trainable_variables", "non_trainable_variables")
    }
    metrics = [name for name in rows[-1] if name != "seconds"]
    found["history"] = max(abs(rows[-1][name] - mirrored_rows[-1][name]) for name in metrics)
    start = make(distribution.make("none", 12)).trainable_variables
    found["learnt"] = max(
        float(np.max(np.abs(mine.numpy() - theirs.numpy())))
        for mine, theirs in zip(one.trainable_variables, start, strict=True)
    )
    return found


if __name__ == "__main__":
    report = {"classifier": differences(make_classifier)}
    for name, chosen in STRATEGIES.items():
        report[name] = differences(lambda strategy, name=name: make_search(name, strategy), chosen.bilevel)
    json.dump(report, sys.stdout)
