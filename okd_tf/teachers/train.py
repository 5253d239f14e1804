"""Training an ensemble: the same backbone from different seeds, in a different order of examples."""

import pathlib

from okd_tf import backbones, seeds
from okd_tf.data import batches, splits
from okd_tf.training import objective, recipe


def path(folder, index):
    """Where teacher `index` (from 0) is kept."""
    return pathlib.Path(folder) / f"teacher_{index:02}.keras"


def train(
    data: splits.Splits, *, count, backbone, width, epochs, batch_size, seed, how: recipe.Recipe, folder, logs
):
    """Trains what is still missing of `count` teachers with the cross-entropy.

    Each is written to `folder` as soon as it is done, and is not trained again.
    """

    def make():
        built = backbones.build(backbone, width, data.image_shape, data.classes, data.mean, data.std)
        return built.model

    for index in range(count):
        if path(folder, index).exists():
            continue
        own_seed = seeds.derive(seed, "teacher", index)
        # A teacher's checkpoints have a folder of their own: only finished networks lie beside each other.
        work = pathlib.Path(folder) / f"history_{index:02}"
        recipe.train(
            make,
            objective.Objective("ce"),
            batches.Batches(data.train, batch_size, own_seed, data.augmentation, view_seed=own_seed),
            data.val,
            epochs=epochs,
            seed=own_seed,
            recipe=how,
            folder=work,
            logs=pathlib.Path(logs) / f"teacher_{index:02}",
            title=f"teacher {index + 1} of {count} ({backbone})",
            save_to=path(folder, index),
        )
        recipe.finish(work)
