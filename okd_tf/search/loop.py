"""One search from start to files: train the supernet by a strategy, propose, rank, write.

search/arch.json        the chosen architecture, an ArchSpec
search/candidates.json  every candidate that was ranked, best first
search/history.csv      one row per epoch, with every probability
"""

import dataclasses
import pathlib

import keras
import tensorflow as tf

from okd_tf import files, search, seeds
from okd_tf.arch import space, spec
from okd_tf.data import batches
from okd_tf.search import derive, ranking, supernet
from okd_tf.search.options import SearchOptions
from okd_tf.training import loop, optimizers, progress, scalars


@dataclasses.dataclass(frozen=True)
class Bilevel:
    """Training and validation batches side by side, under one global step; an epoch is a training epoch."""

    training: batches.Batches
    validation: batches.Batches

    @property
    def steps_per_epoch(self):
        """Of the training batches."""
        return self.training.steps_per_epoch

    @property
    def batch_size(self):
        """Of the training batches."""
        return self.training.batch_size

    def dataset(self, start, stop):
        """Pairs (training batch, validation batch) of the steps start..stop-1."""
        return tf.data.Dataset.zip(self.training.dataset(start, stop), self.validation.dataset(start, stop))


def run(
    backbone,
    template: spec.ArchSpec,
    data,
    training,
    validation,
    *,
    strategy,
    objective,
    epochs,
    recipe,
    options: SearchOptions,
    candidates,
    folder,
    logs,
):
    """Searches, and writes what was found.

    Args:
        backbone: what to grow.
        template: the bare backbone as a spec, with the budget.
        data: `Splits`.
        training: `Batches` of the training split.
        validation: `Batches` of the validation split.
        strategy: a key of STRATEGIES.
        objective: the search loss.
        epochs: over the training split.
        recipe: a `Recipe` for the shared weights.
        options: a `SearchOptions`.
        candidates: how many architectures to rank.
        folder: where the files go.
        logs: folder of TensorBoard events.

    Returns:
        The chosen ArchSpec.
    """
    folder = pathlib.Path(folder)
    search_space = space.SearchSpace.around(backbone)
    derive.check_budget(search_space, template.budget)
    progress.say(
        f"search: {search_space.layers} add-on layers, {search_space.size():,} architectures; "
        f"bare backbone {search_space.base.params:,} parameters"
    )
    chosen_class = search.STRATEGIES[strategy]
    with recipe.strategy.scope():
        keras.utils.set_random_seed(seeds.derive(options.seed, "supernet"))
        net = supernet.make(backbone, search_space, chosen_class.cell, recipe.synchronized)
        model = chosen_class(
            net,
            search_space,
            template.budget,
            objective,
            optimizers.sgd(recipe.learning_rate, recipe.schedule, epochs * training.steps_per_epoch),
            options,
        )
    loop.fit(
        model,
        Bilevel(training, validation) if chosen_class.bilevel else training,
        epochs=epochs,
        folder=folder,
        title=f"search ({strategy})",
        strategy=recipe.strategy,
        callbacks=[scalars.ScalarWriter(logs)],
        steps_per_execution=recipe.steps_per_execution,
        checkpoint_seconds=recipe.checkpoint_seconds,
    )
    ranker = ranking.Ranker(backbone, search_space, net, data)
    proposed = model.propose(candidates, options.seed)
    ranked = []
    for position, architecture in enumerate(proposed):
        scores = ranker.evaluate(architecture)
        cost = search_space.cost(architecture)
        progress.say(
            f"search: candidate {position + 1} of {len(proposed)}: {cost.params:,} parameters, "
            f"val accuracy with shared weights {scores['accuracy']:.4f}"
        )
        provenance = {"strategy": strategy, "seed": options.seed, "proposed": position + 1, "val": scores}
        ranked.append(
            dataclasses.replace(
                template, add_ons=search_space.add_ons(architecture), cost=cost, provenance=provenance
            )
        )
    # Ties in accuracy go to the lower loss, then to the more probable candidate (sorting is stable).
    ranked.sort(key=lambda item: (-item.provenance["val"]["accuracy"], item.provenance["val"]["loss"]))
    files.write_json(
        folder / "candidates.json",
        [
            {
                "spec": item.to_json(),
                "params": item.cost.params,
                "flops": item.cost.flops,
                "val_accuracy": item.provenance["val"]["accuracy"],
                "val_loss": item.provenance["val"]["loss"],
                "chosen": index == 0,
            }
            for index, item in enumerate(ranked)
        ],
    )
    spec.write(folder / "arch.json", ranked[0])
    files.remove(folder / "checkpoints")
    return ranked[0]
