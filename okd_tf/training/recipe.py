"""Training one classifier from start to file: what teachers, students and baselines have in common."""

import dataclasses
import pathlib

import keras

from okd_tf import files, seeds
from okd_tf.data import batches
from okd_tf.ops import batch_norm
from okd_tf.training import classifier, inference, loop, optimizers, progress, scalars


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train, whatever the network and the loss.

    Attributes:
        learning_rate: the highest rate of SGD with momentum.
        schedule: a name in `optimizers.SCHEDULES`.
        weight_decay: L2 factor on all weights.
        steps_per_execution: how many steps one traced call runs.
        checkpoint_seconds: how much work a kill may cost.
        strategy: a tf.distribute.Strategy.
    """

    learning_rate: float
    schedule: str
    weight_decay: float
    steps_per_execution: int
    checkpoint_seconds: float
    strategy: object

    @property
    def synchronized(self):
        """Whether batch statistics must be shared between replicas."""
        return self.strategy.num_replicas_in_sync > 1


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished training: the network with stock layers, and its history, one dict per epoch."""

    network: keras.Model
    history: list

    def metrics(self):
        """The validation part of a metrics.json: last and best epoch (last is what counts)."""
        best = max(self.history, key=lambda row: row["val_accuracy"])
        summary = {
            name: {"accuracy": row["val_accuracy"], "loss": row["val_loss"], "epoch": int(row["epoch"])}
            for name, row in (("last", self.history[-1]), ("best", best))
        }
        return {"val": summary, "epochs": len(self.history), "params": self.network.count_params()}


def train(make, objective, data: batches.Batches, val, *, epochs, seed, recipe, folder, logs, title, save_to):
    """Trains a network and saves it once done; resumes what is in `folder`.

    Checkpoints stay, for the caller to remove with `finish` once all that it makes of them is written.

    Args:
        make: () -> a new Functional model of stock layers.
        objective: an `Objective`.
        data: training batches.
        val: the examples to validate on after each epoch.
        epochs: length of the training.
        seed: of the initial weights.
        recipe: a `Recipe`.
        folder: of checkpoints and history.
        logs: folder of TensorBoard events.
        title: what to call it on screen.
        save_to: path of the .keras file.

    Returns:
        A `Trained`.
    """
    folder = pathlib.Path(folder)
    with recipe.strategy.scope():
        keras.utils.set_random_seed(seeds.derive(seed, "initial weights"))
        network = batch_norm.fused_copy(make(), recipe.synchronized)
        model = classifier.Classifier(
            network,
            objective,
            optimizers.sgd(recipe.learning_rate, recipe.schedule, epochs * data.steps_per_epoch),
            recipe.weight_decay,
        )
    predictor = inference.Predictor(network)

    def validate():
        return {f"val_{name}": value for name, value in predictor.evaluate(val).items()}

    history = loop.fit(
        model,
        data,
        epochs=epochs,
        folder=folder,
        title=title,
        strategy=recipe.strategy,
        at_epoch_end=validate,
        callbacks=[scalars.ScalarWriter(logs)],
        steps_per_execution=recipe.steps_per_execution,
        checkpoint_seconds=recipe.checkpoint_seconds,
    )
    trained = Trained(batch_norm.stock_copy(network), history)
    with files.replacing(save_to) as temporary:
        trained.network.save(temporary)
    progress.say(f"{title}: done, {save_to}")
    return trained


def finish(folder):
    """Removes the checkpoints of a training whose results are written."""
    files.remove(pathlib.Path(folder) / "checkpoints")
