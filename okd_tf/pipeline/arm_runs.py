"""Runs of a comparison of arms: one for each arm and trial, and the runs that make what these share."""

import dataclasses
import pathlib

from okd_tf import errors, fields, json_file, settings
from okd_tf.pipeline import arm_searches, lessons, record, stages
from okd_tf.pipeline.context import Context
from okd_tf.settings import arms
from okd_tf.student import choice, finals
from okd_tf.training import history, metrics

STAGES = ("search", "choice", "finals", "student", "evaluate")  # of one arm and trial
_ORIGIN = "origin.json"  # with which code and on which processor it was trained


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """A training: one trial of one arm.

    Attributes:
        arm: the arm.
        trial: its number, from 0.
        run: its run, in a folder of its own.
    """

    arm: arms.Arm
    trial: int
    run: Context

    def __str__(self):
        """Return the arm and trial in words."""
        return f"{self.arm.name}, trial {self.trial}"

    @property
    def is_done(self):
        """Return whether the pair is trained and evaluated with its current inputs."""
        outdated = any(record.outdated(self.run, stage) for stage in self.stages)
        return not outdated and origin(self.run) is not None

    @property
    def stages(self):
        """Return the stages that the pair needs, in order; a search, for example, only without --arch."""
        return [stages.STAGES[name] for name in STAGES if not stages.STAGES[name].needless(self.run)]


class Runs:
    """Factory of runs that share a workdir's data and teachers and, if their settings allow, its banks."""

    def __init__(self, chosen):
        """Create the factory from the `Settings` that all arms share; read nothing."""
        own = {"baseline": False, "opponents": settings.choices.OPPONENTS[0], "trial": 0}
        self.main = Context(dataclasses.replace(chosen, **own))
        self.common = dataclasses.replace(chosen, **own, trials=1)  # a run has one trial of an arm
        self._banks, self._chains = {}, {}

    def pair(self, arm, trial):
        """Return the `Pair` of an arm and a trial; may read the data, on which settings can depend.

        Raises:
            UserError: the arm has several budgets.
        """
        folder = self.main.workdir / "arms" / arm.folder
        changed = arm.of(self.common, workdir=str(folder / f"trial_{trial}"), trial=trial)
        if len(changed.budgets) > 1:
            raise errors.UserError(
                f"--max_params: {','.join(changed.max_params)} are several budgets, and an arm has one "
                "student; make each of them an arm"
            )
        origin = self._bank_of(Context(changed, origin=self.main))
        if changed.assistant:
            # All trials of an arm have the same assistants.
            chain = arm.of(self.common, workdir=str(folder))
            made = Context(chain, origin=origin, owns=["assistant"])
            origin = self._chains.setdefault(arm.name, made)
        return Pair(arm, trial, Context(changed, origin=origin))

    def _bank_of(self, run):
        """Return the run that stores the logits which a run needs; the main run if it needs none."""
        if not lessons.needs_bank(run):
            return self.main
        chosen = run.settings
        key = {name: settings.text(getattr(chosen, name)) for name in stages.STAGES["bank"].settings(run)}
        del key["seed"]  # is that of all
        if chosen.mix == "none":
            del key["mix_probability"]
        views = key.pop("views")
        name = "_".join([f"views_{views}", *(text for _, text in sorted(key.items()) if text != "none")])
        if name not in self._banks:
            folder = self.main.workdir / "banks" / name
            own = dataclasses.replace(chosen, workdir=str(folder), trial=0)
            self._banks[name] = Context(own, origin=self.main, owns=["bank"])
        return self._banks[name]


def write_origin(run, made_by):
    """Write the commit and the processor of a pair's training: {"commit", "processor"}."""
    json_file.write(_origin_path(run), made_by)


def origin(run):
    """Return the content written by `write_origin`; None if the file is missing or damaged."""
    try:
        found = fields.read(_origin_path(run)).only(("commit", "processor"))
        return {name: field.text() for name, field in found.items()}
    except errors.UserError:
        return None


def _origin_path(run):
    return pathlib.Path(run.workdir) / _ORIGIN


def seconds(pair):
    """Return the seconds of a finished pair's epochs: search, choice of the loss, finals, student."""
    own = sum(_seconds(pair.run, name) for name in ("search", "student"))
    return own + _choice_seconds(pair.run) + _finals_seconds(pair.run)


def _seconds(run, name):
    return sum(row["seconds"] for row in history.read(run.workdir / name / "history.csv"))


def _choice_seconds(run):
    if run.settings.train_loss != settings.AUTO:
        return 0.0
    return sum(entry["seconds"] for entry in choice.read(run.choice_path)["candidates"].values())


def _finals_seconds(run):
    return finals.seconds(finals.read(run.finals_path)) if run.settings.finals else 0.0


def figures(pair):
    """Return the figures of a finished pair for the results, as JSON values."""
    folder = pair.run.workdir / "student"
    found = metrics.read(folder / "metrics.json")
    val = metrics.kept_of(found["val"])
    last = history.finished(folder / "history.csv", found["epochs"])[-1]
    chosen, more = pair.run.settings, {}
    if chosen.searches:
        more.update(arm_searches.figures(pair.run))
    if chosen.train_loss == settings.choices.AUTO:
        more["train_loss"] = pair.run.train_loss
        more["choice_seconds"] = round(_choice_seconds(pair.run), 1)
    return {
        "seed": pair.trial,
        "params": found["params"],
        "val_accuracy": val["accuracy"],
        "val_loss": val["loss"],
        "test_accuracy": found["test"]["accuracy"],
        "test_loss": found["test"]["loss"],
        "epochs": found["epochs"],
        "train_accuracy": last.get("accuracy"),
        "seconds": round(_seconds(pair.run, "student"), 1),
        **more,
        **origin(pair.run),
    }
