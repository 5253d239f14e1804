"""Training an ensemble, of one backbone or several: other seeds, and another order of examples, for each.

Each may hold a part of the training examples out; see `folds`. Inputs are normalised by the statistics of the
whole training split all the same: no label is in them.
"""

import functools
import pathlib

from okd_tf import backbones, seeds
from okd_tf.backbones import application_weights, applications
from okd_tf.data import batches, imbalance, splits
from okd_tf.teachers import folds
from okd_tf.training import objective, recipe


def path(folder, index):
    """Where teacher `index` (from 0) is kept."""
    return pathlib.Path(folder) / f"teacher_{index:02}.keras"


def work_folder(folder, index):
    """Where its history is kept, and checkpoints while it is trained."""
    return pathlib.Path(folder) / f"history_{index:02}"


def in_turn(indices, is_done, work):
    """Does what is not done, one after the other; all take indices of teachers."""
    for index in indices:
        if not is_done(index):
            work(index)


def train(
    data: splits.Splits,
    *,
    networks,
    width,
    epochs,
    batch_size,
    seed,
    how: recipe.Recipe,
    folder,
    logs,
    held_out=None,
    balance="none",
    mixed=None,
    label_smoothing=0.0,
    weights=application_weights.NONE,
    spread=in_turn,
):
    """Trains what is still missing of the teachers with the cross-entropy.

    `networks` names the backbone of each, and so says how many there are. Each teacher is written to `folder`
    as soon as it is done, and is not trained again. `held_out` says what each is not shown, as
    `folds.assigned` does, None that all see all; it is recorded before the teacher is there. `balance` is one
    of `imbalance.BALANCES`; classes count as often, or as much, as of what it is shown. `mixed` is how its
    views are mixed, a `Mixing`, or None. `label_smoothing` is that of the loss `ce`. `weights` is what
    networks of keras.applications begin from, as `applications.build` takes it. `spread` is what has them
    trained, each on its own, as `in_turn` does; others may share them among processes.
    """
    count = len(networks)
    held_out = held_out or [None] * count
    seen = folds.seen(data.train.ids, held_out)

    def make(name):
        if applications.is_application(name):
            return applications.build(name, data.image_shape, data.classes, weights)[0]
        built = backbones.build(name, width, data.image_shape, data.classes, data.mean, data.std)
        return built.model

    def is_done(index):
        recorded = not held_out[index] or folds.is_recorded(path(folder, index), held_out[index])
        # A kill may have come after its file and before its checkpoints were removed.
        return recorded and path(folder, index).exists() and recipe.is_finished(work_folder(folder, index))

    def prepare(index):
        if held_out[index]:
            folds.write(path(folder, index), held_out[index])
        return not path(folder, index).exists()

    def work(index):
        if how.crew.agree(lambda: prepare(index)):
            train_one(index)
        how.crew.lead(lambda: recipe.finish(work_folder(folder, index)))

    def train_one(index):
        shown = data.train if seen[index].all() else data.train.take(seen[index])
        own_seed = seeds.derive(seed, "teacher", index)
        recipe.train(
            functools.partial(make, networks[index]),
            objective.Objective("ce", settings={"label_smoothing": label_smoothing}),
            batches.Batches(
                shown,
                batch_size,
                own_seed,
                data.augmentation,
                view_seed=own_seed,
                balanced=balance == imbalance.SAMPLING,
                class_weights=imbalance.class_weights(balance, shown.labels),
                mixing_of_views=mixed,
            ),
            data.val,
            epochs=epochs,
            seed=own_seed,
            recipe=how,
            # A folder of its own: only finished networks lie beside each other.
            folder=work_folder(folder, index),
            logs=pathlib.Path(logs) / f"teacher_{index:02}",
            title=f"teacher {index + 1} of {count} ({networks[index]})",
            save_to=path(folder, index),
            is_kept=applications.is_kept if applications.has_weights(networks[index], weights) else None,
        )

    spread(range(count), is_done, work)
