"""Teacher assistants: a chain of networks from the teachers to the student, each taught by the one before.

Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant" (AAAI 2020). There the chain begins
at one teacher; here at the ensemble, and every link learns with the loss of the student.

    assistant/assistant_00.keras   the first link, and so on
    assistant/bank_00/             what it says of the views, for who is next: a bank of one teacher
    assistant/metrics.json         of each link, by the name of its file: validation figures, its own hash and
                                   that of the link it learnt from
"""

import pathlib

from okd_tf import backbones, files, json_file
from okd_tf.data import batches, splits
from okd_tf.training import metrics, objective, recipe


def path(folder, index):
    """Where assistant `index` (from 0) is kept."""
    return pathlib.Path(folder) / f"assistant_{index:02}.keras"


def bank_folder(folder, index):
    """Where what it says is stored."""
    return pathlib.Path(folder) / f"bank_{index:02}"


def is_trained(folder, index):
    """Whether it is there, as when its figures were written, and learnt from the link that is there."""
    own, before = path(folder, index), _before(folder, index)
    if not own.exists() or (before and not before.exists()):
        return False
    entry = _metrics(folder).get(own.stem, {})
    return all(entry.get(name) == value for name, value in _hashes(own, before).items())


def train(
    data: splits.Splits,
    training: batches.Batches,
    loss: objective.Objective,
    *,
    index,
    backbone,
    width,
    epochs,
    seed,
    how: recipe.Recipe,
    folder,
    logs,
):
    """Trains one link; writes its file and its entry in metrics.json.

    Args:
        data: the splits.
        training: batches of the training split, with logits of the link before if they are stored.
        loss: with the link before as live teacher if they are not.
        index: its place in the chain, from 0.
        backbone: a registered name.
        width: of it, as `backbones.build` takes it.
        epochs: length of the training.
        seed: of the initial weights.
        how: a `Recipe`.
        folder: where the files go.
        logs: folder of TensorBoard events.
    """

    def make():
        built = backbones.build(backbone, width, data.image_shape, data.classes, data.mean, data.std)
        return built.model

    own = path(folder, index)
    work = _work(folder, index)
    trained = recipe.train(
        make,
        loss,
        training,
        data.val,
        epochs=epochs,
        seed=seed,
        recipe=how,
        folder=work,
        logs=pathlib.Path(logs) / own.stem,
        title=f"assistant {index + 1} ({backbone}, {loss.name})",
        save_to=own,
    )

    def finish():
        record(folder, index, backbone=backbone, width=width, **trained.metrics())
        recipe.finish(work)

    how.crew.lead(finish, shows=folder)


def finish(folder, index):
    """Removes what a kill has left of the training of a link that is trained."""
    recipe.finish(_work(folder, index))


def record(folder, index, **figures):
    """Writes the figures of a link whose file is there."""
    own = path(folder, index)
    entry = {**figures, **_hashes(own, _before(folder, index))}
    json_file.write(_metrics_path(folder), {**_metrics(folder), own.stem: entry})


def _work(folder, index):
    """Where its checkpoints and history are."""
    return pathlib.Path(folder) / f"history_{index:02}"


def _before(folder, index):
    """The file of the link before; the first has none, its teachers are an input of the stage."""
    return path(folder, index - 1) if index else None


def _hashes(own, before):
    return {"sha256": files.sha256(own), "taught_by": files.sha256(before) if before else ""}


def _metrics_path(folder):
    return pathlib.Path(folder) / "metrics.json"


def _metrics(folder):
    there = _metrics_path(folder)
    return metrics.read_chain(there) if there.exists() else {}
