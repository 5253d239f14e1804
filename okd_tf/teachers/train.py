"""Training an ensemble: the same backbone from different seeds, in a different order of examples.

Each may hold a part of the training examples out; see `folds`. Inputs are normalised by the statistics of the
whole training split all the same: no label is in them.
"""

import pathlib

from okd_tf import backbones, seeds
from okd_tf.data import batches, splits
from okd_tf.teachers import folds
from okd_tf.training import objective, recipe


def path(folder, index):
    """Where teacher `index` (from 0) is kept."""
    return pathlib.Path(folder) / f"teacher_{index:02}.keras"


def train(
    data: splits.Splits,
    *,
    count,
    backbone,
    width,
    epochs,
    batch_size,
    seed,
    how: recipe.Recipe,
    folder,
    logs,
    held_out=None,
):
    """Trains what is still missing of `count` teachers with the cross-entropy.

    Each is written to `folder` as soon as it is done, and is not trained again. `held_out` says what each is
    not shown, as `folds.assigned` does, None that all see all; it is recorded before the teacher is there.
    """
    held_out = held_out or [None] * count
    seen = folds.seen(data.train.ids, held_out)

    def make():
        built = backbones.build(backbone, width, data.image_shape, data.classes, data.mean, data.std)
        return built.model

    def is_there(index):
        if held_out[index]:
            folds.write(path(folder, index), held_out[index])
        return path(folder, index).exists()

    for index in range(count):
        if how.crew.agree(lambda index=index: is_there(index)):
            continue
        shown = data.train if seen[index].all() else data.train.take(seen[index])
        own_seed = seeds.derive(seed, "teacher", index)
        # A teacher's checkpoints have a folder of their own: only finished networks lie beside each other.
        work = pathlib.Path(folder) / f"history_{index:02}"
        recipe.train(
            make,
            objective.Objective("ce"),
            batches.Batches(shown, batch_size, own_seed, data.augmentation, view_seed=own_seed),
            data.val,
            epochs=epochs,
            seed=own_seed,
            recipe=how,
            folder=work,
            logs=pathlib.Path(logs) / f"teacher_{index:02}",
            title=f"teacher {index + 1} of {count} ({backbone})",
            save_to=path(folder, index),
        )
        how.crew.lead(lambda work=work: recipe.finish(work))
