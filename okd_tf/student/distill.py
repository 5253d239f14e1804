"""Training a student from scratch by distillation, or the bare backbone by cross-entropy to compare with.

Both are the same training with another network and loss, so that the comparison is of nothing else.
"""

import pathlib

from okd_tf import files
from okd_tf.arch import build, spec
from okd_tf.training import objective, recipe


def distill(
    architecture: spec.ArchSpec, loss: objective.Objective, data, training, *, epochs, seed, how, folder, logs
):
    """Trains the network of a spec; writes student.keras, metrics.json (validation) and history.csv.

    Args:
        architecture: what to build.
        loss: the training loss.
        data: `Splits`.
        training: `Batches` of the training split, with teacher logits if the loss needs stored ones.
        epochs: length of the training.
        seed: of the initial weights.
        how: a `Recipe`.
        folder: where the files go.
        logs: folder of TensorBoard events.
    """
    _train(
        lambda: build.student(architecture), loss, data, training, epochs, seed, how, folder, logs, "student"
    )


def train_baseline(architecture: spec.ArchSpec, data, training, *, epochs, seed, how, folder, logs):
    """Trains the bare backbone of a spec with the cross-entropy; writes baseline.keras, metrics.json."""

    def make():
        return build.bare_backbone(architecture).model

    loss = objective.Objective("ce")
    _train(make, loss, data, training, epochs, seed, how, folder, logs, "baseline")


def _train(make, loss, data, training, epochs, seed, how, folder, logs, name):
    folder = pathlib.Path(folder)
    trained = recipe.train(
        make,
        loss,
        training,
        data.val,
        epochs=epochs,
        seed=seed,
        recipe=how,
        folder=folder,
        logs=logs,
        title=f"{name} ({loss.name})",
        save_to=folder / f"{name}.keras",
    )
    files.write_json(folder / "metrics.json", trained.metrics())
    recipe.finish(folder)
