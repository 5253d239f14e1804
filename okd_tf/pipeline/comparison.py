"""Search strategies side by side: same teachers, splits, budget and evaluations, over several trials.

    workdir/compare/
      sample/NN/                 an architecture drawn uniformly from the budget, trained as a student
      STRATEGY/trial_N/          a search and the student of what it found
      bare_backbone/trial_N/     the backbone as it is, trained the same way
      comparison.json .md .png   the figures, the page, the plot

Each of these folders holds the stages of a run that borrows the teachers and the bank, so a comparison that
was killed goes on where it stopped. To export a student of it, give tools/export.py its --student.
"""

import dataclasses

import numpy as np
from scipy import stats

from okd_tf import errors, files, search, seeds
from okd_tf.arch import spec, uniform
from okd_tf.pipeline import check, record, stages
from okd_tf.pipeline.shared import Context
from okd_tf.report import comparison as page
from okd_tf.training import history, progress

BARE = "bare backbone"


def run(chosen, strategies, trials, sample):
    """Compares, and writes comparison.json, .md and .png; shows the table.

    Args:
        chosen: the `Settings` of the run, whose teachers, bank and assistants are made first if they are
            not there.
        strategies: names, from `settings.STRATEGIES`.
        trials: how often each searches and trains.
        sample: how many random architectures are trained, to compare with their figures on shared weights.

    Raises:
        UserError: whatever in settings or files cannot be used, before any work where it can be known.
    """
    context = Context(chosen)
    check.check(context, ("teachers", "bank", "assistant", "search", "student"))
    with context.crew.together():
        asked = [list(strategies), trials, sample]
        if asked != context.crew.agree(lambda: asked):
            raise errors.UserError(
                "--strategies, --trials, --sample: are others at the chief; start the same command everywhere"
            )
        _compare(context, strategies, trials, sample)


def _compare(context, strategies, trials, sample):
    """Does what `run` says, of a run that was checked."""
    drawn = _draw(context, sample)
    _check_searches(context, strategies, trials, drawn)
    context.crew.lead(lambda: record.describe(context))
    for name in ("teachers", "bank", "assistant"):
        stages.complete(context, name)
    trained = [
        _student_of(context, _fixed(context, architecture), f"sample/{number:02}")[1]
        for number, architecture in enumerate(drawn)
    ]
    rows = []
    for trial in range(trials):
        for name in strategies:
            rows.append(_search(context, name, trial, drawn, trained))
        rows.append(_student_of(context, context.template, f"bare_backbone/trial_{trial}", trial))
    # The test split is read when all else is done.
    for run, row in rows:
        record.complete(run, stages.STAGES["evaluate"])
        row["test_accuracy"] = context.crew.agree(lambda run=run: _test_accuracy(run))
    found = {"sample": trained, "results": [row for _, row in rows]}
    context.crew.lead(lambda: _show(context.workdir / "compare", found))


def _test_accuracy(run):
    return files.read_json(run.workdir / "student" / "metrics.json")["test"]["accuracy"]


def _show(folder, found):
    """Writes the three files, and shows the table."""
    files.write_json(folder / "comparison.json", found)
    files.write_text(folder / "comparison.md", page.markdown(found))
    page.plot(found, folder / "comparison.png")
    progress.say(f"\n{page.screen(found)}\n\nresults: {folder}/comparison.md, .json and .png")


def _check_searches(context, strategies, trials, drawn):
    """Refuses what a strategy cannot use, and to replace what was made with other flags unless asked to."""
    for name in strategies:
        for trial in range(trials):
            run = _search_run(context, name, trial, drawn)
            for stage in ("search", "student"):
                why = record.outdated(run, stages.STAGES[stage])
                if why.startswith(record.OTHER_INPUTS) and not context.settings.redo:
                    raise errors.UserError(
                        f"--workdir: {run.workdir} holds a {stage} that {why}; use another --workdir, or add "
                        "--redo to replace what was compared"
                    )


def _draw(context, count):
    """Different architectures within the budget, uniformly; fewer if there are not so many."""
    sampler = uniform.UniformSampler(context.space, context.budget)
    return sampler.different(count, seeds.derive(context.settings.seed, "sample of a comparison"))


def _fixed(context, architecture):
    """The spec of an architecture that no search has found."""
    return dataclasses.replace(
        context.template,
        add_ons=context.space.add_ons(architecture),
        cost=context.space.cost(architecture),
        provenance={"strategy": "uniform"},
    )


def _search(context, strategy, trial, drawn, trained):
    """One search and its student: (its run, a row of the comparison)."""
    run = _search_run(context, strategy, trial, drawn)
    record.complete(run, stages.STAGES["search"])
    record.complete(run, stages.STAGES["student"])
    chosen = next(
        entry for entry in files.read_json(run.workdir / "search" / "candidates.json") if entry["chosen"]
    )
    scored = files.read_json(run.workdir / "search" / "scored.json") if drawn else []
    epochs = history.read(run.workdir / "search" / "history.csv", run.settings.search_epochs)
    return run, {
        **_row(run, strategy, trial),
        "shared_val_accuracy": chosen["val_accuracy"],
        "search_images": _images(run, epochs),
        "search_seconds": sum(row["seconds"] for row in epochs),
        "sample_shared_val_accuracy": [entry["accuracy"] for entry in scored],
        "kendall_tau": _tau(
            [entry["accuracy"] for entry in scored], [entry["val_accuracy"] for entry in trained]
        ),
    }


def _student_of(context, architecture, name, trial=0):
    """One student of a given spec: (its run, a row of the comparison)."""
    folder = context.workdir / "compare" / name
    path = folder / "arch.json"

    def write():
        if not path.exists() or spec.read(path) != architecture:
            context.keep_backbone(folder)
            spec.write(path, dataclasses.replace(architecture, folder=str(folder)))

    context.crew.lead(write, shows=folder)
    run = _run_of(context, name, trial, arch=str(path))
    record.complete(run, stages.STAGES["student"])
    return run, _row(run, "uniform" if architecture.add_ons else BARE, trial)


def _search_run(context, strategy, trial, drawn):
    return _run_of(context, f"{strategy}/trial_{trial}", trial, strategy=strategy, also_score=drawn)


def _run_of(context, name, trial, also_score=(), **changes):
    """A run in a folder of the comparison, with the teachers and the bank of this one."""
    strategy = changes.get("strategy", context.settings.strategy)
    changed = dataclasses.replace(
        context.settings,
        workdir=str(context.workdir / "compare" / name),
        trial=trial,
        baseline=False,
        stop_on_collapse=False,
        unrolled=context.settings.unrolled and strategy == "darts",
        **changes,
    )
    return Context(changed, origin=context, also_score=also_score)


def _row(run, who, trial):
    metrics = files.read_json(run.workdir / "student" / "metrics.json")
    found = spec.read(run.arch_path)
    return {
        "who": who,
        "trial": trial,
        "folder": str(run.workdir.relative_to(run.origin.workdir)),
        "params": found.cost.params,
        "flops": found.cost.flops,
        "add_ons": [f"{one.op}{' chain' * one.chain}{' feed_back' * one.feed_back}" for one in found.add_ons],
        "val_accuracy": metrics["val"]["last"]["accuracy"],
    }


def _images(run, epochs):
    """How many images a search has put through its networks, training and validation together."""
    chosen = run.settings
    validation = min(chosen.batch_size, len(run.data.val))
    per_step = chosen.batch_size + (validation if search.STRATEGIES[chosen.strategy].bilevel else 0)
    updates = sum(row.get("controller/updates", 0) for row in epochs)
    return int(epochs[-1]["step"] * per_step + updates * chosen.controller_children * validation)


def _tau(shared, trained):
    """Kendall's rank correlation; None where there are too few or all are equal."""
    if len(shared) < 2:
        return None
    tau = stats.kendalltau(shared, trained).statistic
    return None if np.isnan(tau) else float(tau)
