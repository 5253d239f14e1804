"""Search strategies side by side: same teachers, splits, budget and evaluations, over several trials.

    workdir/compare/
      sample/NN/                 an architecture drawn uniformly from the budget, trained as a student
      STRATEGY/trial_N/          a search and the student of what it found
      bare_backbone/trial_N/     the backbone as it is, trained the same way
      choice/                    with --train_loss=auto: what loss all students learn by
      plan.json                  what is to be done, for who joins
      comparison.json .md .png   the figures, the page, the plot

Each of these folders holds the stages of a run that borrows the teachers and the bank, so a comparison that
was killed goes on where it stopped, and several processes can share the folders among them. To export a
student of it, give tools/export.py its --student.
"""

import dataclasses
import time

import numpy as np
from scipy import stats

from okd_tf import claims, errors, fields, files, json_file, progress, search, seeds, settings
from okd_tf.arch import spec, uniform
from okd_tf.pipeline import check, forecast, joining, record, sharing, stages
from okd_tf.pipeline.context import Context
from okd_tf.report import comparison as page
from okd_tf.search import candidates
from okd_tf.training import history, metrics

BARE = "bare backbone"
PLAN = "plan.json"


@dataclasses.dataclass(frozen=True)
class _Part:
    """What is done on its own: a search with its student, or the student of a given architecture.

    Attributes:
        run: its run, in a folder of its own.
        who: a strategy, BARE, or "uniform".
        trial: which.
        architecture: what is trained if nothing is searched; else None.
    """

    run: Context
    who: str
    trial: int
    architecture: spec.ArchSpec | None = None

    @property
    def stages(self):
        """Those that are run, in order."""
        names = ("student",) if self.architecture else ("search", "student")
        return [stages.STAGES[name] for name in names]

    @property
    def job(self):
        """The part as a job."""
        return sharing.Job(
            _folder(self.run),
            self._is_done,
            self._work,
            tuple(self.run.workdir / stage.folder / "history.csv" for stage in self.stages),
        )

    def _is_done(self):
        return self._is_prepared() and not any(record.outdated(self.run, stage) for stage in self.stages)

    def prepare(self):
        """Writes the architecture that is given, if it is not there."""
        if not self._is_prepared():
            folder = self.run.arch_path.parent
            self.run.origin.keep_backbone(folder)
            spec.write(self.run.arch_path, dataclasses.replace(self.architecture, folder=str(folder)))

    def _work(self):
        self.prepare()
        for stage in self.stages:
            record.complete(self.run, stage)

    def _is_prepared(self):
        path = self.run.arch_path
        return not self.architecture or (path.exists() and spec.read(path) == self.architecture)


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
    if chosen.strategy == settings.NO_SEARCH:
        # What searches need would not be made.
        raise errors.UserError(
            f"--strategy: {chosen.strategy} searches nothing, and searches are compared here, those that "
            "--strategies names; leave it out"
        )
    context = Context(chosen)
    names = ("teachers", "bank", "assistant", "search", "choice", "student")
    check.check(context, names)
    plan = {"strategies": list(strategies), "trials": trials, "sample": sample, **_decisive(context)}
    of_sample, compared = _parts(context, plan)
    _check_searches(context, compared)
    record.describe(context)
    forecast.say(context, names, timed=False)
    with sharing.announced(context.workdir):
        for name in ("teachers", "bank", "assistant"):
            stages.complete(context, name)
        if chosen.train_loss == settings.choices.AUTO:
            _choose_loss(context)
            of_sample, compared = _parts(context, plan)
            _check_searches(context, compared)
        _make_known(context, plan)
        jobs = [part.job for part in (*of_sample, *compared)]
        sharing.complete("compare", _claims(context), jobs)
        _finish(context, of_sample, compared)


def join(chosen):
    """Helps a comparison that is going on in the workdir: with its teachers, then with its parts.

    Args:
        chosen: the `Settings` of the run.

    Raises:
        UserError: it cannot, or there is nothing to do.
    """
    context = Context(chosen)
    joining.check(context)
    done = joining.teachers(context)
    plan, said = _known(context), False
    while plan is None and sharing.is_announced(context.workdir):
        if not said:
            progress.say("compare: waiting for the run to have its teachers and what they say")
            said = True
        time.sleep(sharing.POLL_SECONDS)
        done += joining.teachers(context)
        plan = _known(context)
    if plan is None:
        why = f"{joining.why_not_teachers(context)}, and nobody is comparing"
    else:
        jobs = [part.job for parts in _parts(context, plan) for part in parts]
        done += sharing.join("compare", _claims(context), jobs, lambda: _known(context) == plan)
        doing = sharing.others(_claims(context), jobs)
        why = f"others do all that is left: {doing}" if doing else "all is done that can be shared"
    joining.say_what_was_done(context, done, why)


def _choice(context):
    """The run that chooses by which loss all students learn, --train_loss=auto: on the bare backbone."""
    path = context.workdir / "compare" / "choice" / "arch.json"
    run = _run_of(context, "choice", 0, settings.choices.AUTO, arch=str(path))
    return _Part(run, BARE, 0, context.template)


def _choose_loss(context):
    """Chooses it; to have each student choose its own would compare losses beside strategies."""
    part = _choice(context)
    part.prepare()
    record.complete(part.run, stages.STAGES["choice"])


def _loss(context):
    """By which loss all students learn; while none is chosen, `auto`."""
    named = context.settings.train_loss
    if named != settings.choices.AUTO:
        return named
    run = _choice(context).run
    return named if record.outdated(run, stages.STAGES["choice"]) else run.train_loss


def _claims(context):
    return context.workdir / "compare" / claims.FOLDER


def _decisive(context):
    """The settings that decide what comes out, as a plan has them."""
    return {
        "settings": {
            name: settings.text(getattr(context.settings, name))
            for name, field in settings.FIELDS.items()
            if field.metadata["kind"] == settings.RESULT
        }
    }


def _make_known(context, plan):
    """Writes what is going to be done, for who joins; those who do what is not to be done any more stop."""
    if _known(context) is None:
        claims.remove(_claims(context))
    json_file.write(context.workdir / "compare" / PLAN, plan)


def _known(context):
    """What the run is going to do, if it is of the settings that are here; else None."""
    try:
        plan = fields.read(context.workdir / "compare" / PLAN)
        for name in plan["strategies"].items():
            name.text(settings.STRATEGIES)
        plan["trials"].whole(1), plan["sample"].whole()
        same = plan["settings"].value == _decisive(context)["settings"]
    except errors.UserError:
        return None  # not there, or not whole: nothing is known
    return plan.value if same else None


def _parts(context, plan):
    """The parts that train the sample, and those that are compared."""
    drawn, loss = _draw(context, plan["sample"]), _loss(context)
    of_sample = [
        _given(context, _fixed(context, architecture), f"sample/{number:02}", loss)
        for number, architecture in enumerate(drawn)
    ]
    compared = []
    for trial in range(plan["trials"]):
        for name in plan["strategies"]:
            run = _run_of(context, f"{name}/trial_{trial}", trial, loss, strategy=name, also_score=drawn)
            compared.append(_Part(run, name, trial))
        compared.append(_given(context, context.template, f"bare_backbone/trial_{trial}", loss, trial))
    return of_sample, compared


def _given(context, architecture, name, loss, trial=0):
    path = context.workdir / "compare" / name / "arch.json"
    who = "uniform" if architecture.add_ons else BARE
    return _Part(_run_of(context, name, trial, loss, arch=str(path)), who, trial, architecture)


def _finish(context, of_sample, compared):
    """Reads the test split when all else is done; writes the figures, the page and the plot."""
    trained = [_row(part) for part in of_sample]
    rows = []
    for part in compared:
        row = _row(part) if part.architecture else {**_row(part), **_of_search(part, trained)}
        record.complete(part.run, stages.STAGES["evaluate"])
        accuracy = metrics.of_test(part.run.workdir / "student" / "metrics.json")
        rows.append({**row, "test_accuracy": accuracy})
    folder = context.workdir / "compare"
    found = {"sample": trained, "results": rows}
    if context.settings.train_loss == settings.choices.AUTO:
        found["train_loss"] = _loss(context)
    json_file.write(folder / "comparison.json", found)
    files.write_text(folder / "comparison.md", page.markdown(found))
    page.plot(found, folder / "comparison.png")
    progress.say(f"\n{page.screen(found)}\n\nresults: {folder}/comparison.md, .json and .png")


def _check_searches(context, compared):
    """Refuses what a strategy cannot use, and to replace what was made with other flags unless asked to."""
    for part in compared:
        unknown = part.run.settings.train_loss == settings.choices.AUTO
        for stage in [] if part.architecture else part.stages[: 1 if unknown else None]:
            why = record.outdated(part.run, stage)
            if why.startswith(record.OTHER_INPUTS) and not context.settings.redo:
                raise errors.UserError(
                    f"--workdir: {part.run.workdir} holds a {stage.name} that {why}; use another --workdir, "
                    "or add --redo to replace what was compared"
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


def _of_search(part, trained):
    """What a row of the comparison says of its search; `trained` are the rows of the sample."""
    folder = part.run.workdir / "search"
    chosen = candidates.chosen(folder / "candidates.json")
    scored = candidates.read_scores(folder / "scored.json", len(trained)) if trained else []
    epochs = history.finished(folder / "history.csv", part.run.settings.search_epochs)
    return {
        "shared_val_accuracy": chosen["val_accuracy"],
        "search_images": _images(part.run, epochs),
        "search_seconds": sum(row["seconds"] for row in epochs),
        "sample_shared_val_accuracy": scored,
        "kendall_tau": _tau(scored, [entry["val_accuracy"] for entry in trained]),
    }


def _run_of(context, name, trial, train_loss, also_score=(), **changes):
    """A run in a folder of the comparison, with the teachers and the bank of this one."""
    strategy = changes.get("strategy", context.settings.strategy)
    changed = dataclasses.replace(
        context.settings,
        workdir=str(context.workdir / "compare" / name),
        trial=trial,
        train_loss=train_loss,
        baseline=False,
        opponents=settings.choices.OPPONENTS[0],
        stop_on_collapse=False,
        unrolled=context.settings.unrolled and strategy == "darts",
        **changes,
    )
    return Context(changed, origin=context, also_score=also_score)


def _folder(run):
    return str(run.workdir.relative_to(run.origin.workdir / "compare"))


def _row(part):
    """A row of the comparison, as far as it is of the student."""
    accuracy = metrics.of_validation(part.run.workdir / "student" / "metrics.json")
    found = spec.read(part.run.arch_path)
    return {
        "who": part.who,
        "trial": part.trial,
        "folder": f"compare/{_folder(part.run)}",
        "params": found.cost.params,
        "flops": found.cost.flops,
        "add_ons": [f"{one.op}{' chain' * one.chain}{' feed_back' * one.feed_back}" for one in found.add_ons],
        "val_accuracy": accuracy,
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
