"""Training of a student from scratch by distillation, and of the bare backbone by cross-entropy.

Both are the same training with another network and loss, so that nothing else differs between them.
"""

import pathlib

from okd_tf import json_file, losses
from okd_tf.arch import build, spec
from okd_tf.training import objective, recipe

PEER = "peer.keras"  # of a student trained by mutual learning


def distill(
    architecture: spec.ArchSpec,
    loss: objective.Objective,
    data,
    training,
    *,
    epochs,
    seed,
    how,
    folder,
    logs,
    title="student",
):
    """Train the network of a spec; write student.keras, metrics.json (validation) and history.csv.

    With a mutual-learning loss a second network (the peer), with other initial weights, is trained beside it
    and written to peer.keras; metrics.json has its figures too. The student is always the first of the two:
    to take the better one would be a choice on validation images that other losses do not have.

    Args:
        architecture: the network to build.
        loss: the training loss.
        data: `Splits`.
        training: `Batches` of the training split, with teacher logits if the loss needs stored ones.
        epochs: length of the training.
        seed: of the initial weights.
        how: a `Recipe`.
        folder: folder of the files written.
        logs: folder of TensorBoard events.
        title: name of the training on screen.
    """
    train = _train_pair if loss.name in losses.NEEDS_PEERS else _train
    train(
        *(lambda: build.student(architecture), loss, data, training, epochs, seed, how, folder, logs),
        *("student", title, _is_kept(architecture)),
    )


def train_baseline(
    architecture: spec.ArchSpec,
    data,
    training,
    *,
    epochs,
    seed,
    how,
    folder,
    logs,
    label_smoothing=0.0,
):
    """Train a spec's bare backbone with cross-entropy; write baseline.keras, metrics.json and history.csv."""

    def make():
        return build.bare_backbone(architecture).model

    loss = objective.Objective("ce", settings={"label_smoothing": label_smoothing})
    is_kept = _is_kept(architecture)
    _train(make, loss, data, training, epochs, seed, how, folder, logs, "baseline", "baseline", is_kept)


def _is_kept(architecture):
    """Return a test of layer names: whether the layer starts from the backbone file's weights; or None."""
    return frozenset(build.kept(architecture)).__contains__ if architecture.keep_weights else None


def _train(make, loss, data, training, epochs, seed, how, folder, logs, name, title, is_kept):
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
        title=f"{title} ({loss.name})",
        save_to=folder / f"{name}.keras",
        is_kept=is_kept,
    )

    def finish():
        json_file.write(folder / "metrics.json", trained.metrics())
        recipe.finish(folder)

    how.crew.lead(finish)


def _train_pair(make, loss, data, training, epochs, seed, how, folder, logs, name, title, is_kept):
    folder = pathlib.Path(folder)
    trained, peer = recipe.train_pair(
        make,
        loss,
        training,
        data.val,
        epochs=epochs,
        seed=seed,
        recipe=how,
        folder=folder,
        logs=logs,
        title=f"{title} ({loss.name})",
        save_to=folder / f"{name}.keras",
        peer_to=folder / PEER,
        is_kept=is_kept,
    )

    def finish():
        metrics = {**trained.metrics(), "peer": {"val": peer.metrics()["val"]}}
        json_file.write(folder / "metrics.json", metrics)
        recipe.finish(folder)

    how.crew.lead(finish)
