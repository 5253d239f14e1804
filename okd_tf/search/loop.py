"""One search from start to files: train the supernet by a strategy, propose, rank, write.

search/arch.json        the chosen architecture, an ArchSpec
search/candidates.json  all ranked candidates: the strategy's own, best first, then random ones
search/finalists.json   the finalists, if finals are asked for
search/history.csv      one row per epoch, with every probability

The figures of each ranked network are cached until these files are written: a kill costs those of one.
"""

import dataclasses
import functools
import pathlib

import keras
import tensorflow as tf

from okd_tf import files, json_file, kept, progress, search, seeds
from okd_tf.arch import space, spec, uniform
from okd_tf.data import batches
from okd_tf.ops import precision
from okd_tf.search import base, derive, finalists, ranking, supernet
from okd_tf.search import candidates as candidates_file
from okd_tf.search.options import SearchOptions
from okd_tf.search.telemetry import Telemetry
from okd_tf.training import loop, optimizers, scalars


@dataclasses.dataclass(frozen=True)
class Bilevel:
    """Training and validation batches side by side, under one global step; an epoch is a training epoch."""

    training: batches.Batches
    validation: batches.Batches

    @property
    def steps_per_epoch(self):
        """Return the number of training batches in an epoch."""
        return self.training.steps_per_epoch

    @property
    def batch_size(self):
        """Return the size of the training batches."""
        return self.training.batch_size

    @property
    def failure(self):
        """Return the error by which a batch of either split could not be made, or None."""
        return self.training.failure or self.validation.failure

    def dataset(self, start, stop):
        """Return the pairs (training batch, validation batch) of the steps start..stop-1."""
        return tf.data.Dataset.zip(self.training.dataset(start, stop), self.validation.dataset(start, stop))

    def portions(self, *wanted):
        """Return such pairs of portions of the batches; arguments as for `Batches.portions`."""
        return tf.data.Dataset.zip(self.training.portions(*wanted), self.validation.portions(*wanted))


def run(
    backbone,
    search_space: space.SearchSpace,
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
    stop_on_collapse=False,
    also_score=(),
    finalists_wanted=0,
    smaller=(),
):
    """Search for an architecture and write the results.

    Args:
        backbone: the `Backbone` to add layers to.
        search_space: its `SearchSpace`.
        template: the bare backbone as a spec, with the budget.
        data: `Splits`.
        training: `Batches` of the training split.
        validation: `Batches` of the validation split.
        strategy: a key of STRATEGIES.
        objective: the search loss.
        epochs: number of epochs over the training split.
        recipe: a `Recipe` for the shared weights.
        options: a `SearchOptions`.
        candidates: number of proposed architectures to rank, and of random ones for comparison.
        folder: folder of the written files.
        logs: folder of TensorBoard events.
        stop_on_collapse: whether to end a search that has collapsed to operations without parameters.
        also_score: further architectures, whose figures with shared weights go to scored.json.
        finalists_wanted: number of architectures in finalists.json; 0: no such file.
        smaller: further `Budget`s, within that of the template; the files of each go to `folder_of` it.

    Returns:
        The chosen ArchSpec; of many workers only on the chief, None on the others.

    Raises:
        UserError: the bare backbone is over a budget, or the search has collapsed and is to stop then; or see
            the training's `loop.fit`.
        Stopped: the program is asked to stop.
    """
    folder = pathlib.Path(folder)
    derive.check_budget(search_space.base, template.budget)
    progress.say(
        f"search: {search_space.layers} add-on layers, {search_space.size():,} architectures; "
        f"bare backbone {search_space.base.params:,} parameters"
    )
    model = make_model(
        backbone, search_space, template.budget, strategy, objective, recipe, options, epochs, training
    )
    ranker = ranking.Ranker(backbone, search_space, model.supernet, data)
    telemetry = Telemetry(model, search_space, ranker, stop_on_collapse)
    loop.fit(
        model,
        Bilevel(training, validation) if model.bilevel else training,
        epochs=epochs,
        folder=folder,
        title=f"search ({strategy})",
        strategy=recipe.strategy,
        at_epoch_end=lambda: model.end_epoch(validation, recipe.strategy) | telemetry.look(),
        callbacks=[
            *([scalars.ScalarWriter(logs)] if recipe.crew.leads else []),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: telemetry.warn_of_collapse()),
        ],
        steps_per_execution=recipe.steps_per_execution,
        checkpoint_seconds=recipe.checkpoint_seconds,
        checkpoint_steps=recipe.checkpoint_steps,
    )

    def choose():
        known = kept.Kept(folder / ".ranked", epochs * training.steps_per_epoch)
        scores = _Scores(ranker, search_space, known)

        within = functools.partial(_choose, model, scores, strategy, options, candidates, finalists_wanted)
        chosen = within(template, folder, also_score)
        for budget in sorted(smaller, key=lambda budget: -budget.max_params):
            progress.say(f"search: within {budget.max_params:,} parameters")
            model.narrow(budget)
            within(dataclasses.replace(template, budget=budget), folder_of(folder, budget))
        scores.forget()
        files.remove(folder / "checkpoints")
        return chosen

    return recipe.crew.lead(choose)


def _choose(model, scores, strategy, options, count, finalists_wanted, template, folder, also_score=()):
    """Propose, rank and write; return the chosen spec. Arguments as for `run`; `scores` ranks."""

    def rank(architectures, is_random):
        origin = {"strategy": "random" if is_random else strategy, "seed": options.seed}
        return _rank(scores, model.space, template, architectures, origin)

    proposed = model.propose(count, options.seed)
    ranked, drawn = rank(proposed, False), []
    if model.learns:
        sampler = uniform.UniformSampler(model.space, template.budget)
        drawn = rank(sampler.different(len(proposed), seeds.derive(options.seed, "random candidates")), True)
        ranked[0] = _compared(ranked[0], drawn[0])
    json_file.write(
        folder / "candidates.json",
        [{**candidates_file.entry(item), "chosen": item is ranked[0]} for item in [*ranked, *drawn]],
    )
    if finalists_wanted:
        taking_part = finalists.choose(
            model, ranked[0], template.budget, finalists_wanted, options.seed, rank
        )
        json_file.write(folder / finalists.NAME, finalists.document(*taking_part))
    if also_score:
        json_file.write(folder / "scored.json", [scores.of(architecture) for architecture in also_score])
    spec.write(folder / "arch.json", ranked[0])
    return ranked[0]


def folder_of(folder, budget):
    """Return the folder of the results within one of the smaller budgets, given the folder of the search."""
    return pathlib.Path(folder) / f"params_{budget.max_params}"


@dataclasses.dataclass(frozen=True)
class _Scores:
    """Figures of networks with the finished shared weights; each network is evaluated once."""

    ranker: ranking.Ranker
    space: space.SearchSpace
    known: kept.Kept

    def of(self, architecture):
        """Return {"accuracy", "loss"} on all validation images."""
        part = str([[int(choice) for choice in layer] for layer in self.space.canonical(architecture)])
        return self.known.value(part, lambda: self.ranker.evaluate(architecture), holds=_are_scores)

    def forget(self):
        """Remove the cached figures from the disk."""
        self.known.forget()


def _are_scores(found):
    return set(found) == {"accuracy", "loss"} and all(isinstance(one, float) for one in found.values())


def make_model(
    backbone, search_space, budget, strategy, objective, recipe, options, epochs, training
) -> base.SearchModel:
    """Return a freshly initialised supernet of a strategy, with its optimizers; arguments as for `run`."""
    chosen = search.STRATEGIES[strategy]

    def make(compute):
        return supernet.make(backbone, search_space, chosen.cell, recipe.synchronized, compute)

    with recipe.strategy.scope():
        keras.utils.set_random_seed(seeds.derive(options.seed, "supernet"))
        own = make(options.compute)
        looks_ahead = options.unrolled and options.compute != precision.FLOAT32
        steps = epochs * training.steps_per_epoch
        rate = recipe.optimizer(steps)
        return chosen(
            own,
            search_space,
            budget,
            objective,
            optimizers.scaling(rate, options.compute),
            options,
            **({"precise": make(precision.FLOAT32)} if looks_ahead else {}),
        )


def _rank(scores, search_space, template, architectures, provenance):
    """Return the specs of architectures with their validation figures, best first."""
    ranked = []
    for position, architecture in enumerate(architectures):
        own = scores.of(architecture)
        cost = search_space.cost(architecture)
        progress.say(
            f"search: {provenance['strategy']} candidate {position + 1} of {len(architectures)}: "
            f"{cost.params:,} parameters, val accuracy with shared weights {own['accuracy']:.4f}"
        )
        ranked.append(
            dataclasses.replace(
                template,
                add_ons=search_space.add_ons(architecture),
                cost=cost,
                provenance={**provenance, "proposed": position + 1, "val": own},
            )
        )
    # Ties in accuracy go to the lower loss, then to the more probable candidate (sorting is stable).
    ranked.sort(key=lambda item: (-item.provenance["val"]["accuracy"], item.provenance["val"]["loss"]))
    return ranked


def _compared(chosen, drawn):
    """Return the chosen spec with the figures of the best of as many random ones; say which is better."""
    own, other = chosen.provenance["val"], drawn.provenance["val"]
    better = (own["accuracy"], -own["loss"]) > (other["accuracy"], -other["loss"])
    progress.say(
        f"search: what was found is {'better' if better else 'NOT better'} on validation with shared weights "
        f"(accuracy {own['accuracy']:.4f}, loss {own['loss']:.4f}) than the best of as many random "
        f"architectures (accuracy {other['accuracy']:.4f}, loss {other['loss']:.4f})"
    )
    return dataclasses.replace(chosen, provenance={**chosen.provenance, "best_random": other})
