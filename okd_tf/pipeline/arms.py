"""Arms over trials: trainings that differ in a few settings, with the same data, teachers and stored logits.

    workdir/
      teachers/               trained or copied once, if the loss of some arm needs them
      banks/VIEWS/            one bank for each --views and --mix among the arms
      arms/ARM/               the chain of assistants of an arm that has one
      arms/ARM/trial_N/       search, student and figures of one training, as in a run's workdir

Each of these folders is the workdir of a run that reads the shared results from another, so a comparison that
was killed resumes where it stopped. Several processes may work on one workdir, each with all arms or some.
"""

import dataclasses
import functools

from okd_tf import claims, errors, files, lock, progress, settings
from okd_tf.pipeline import (
    arm_results,
    arm_runs,
    check,
    forecast,
    lessons,
    provenance,
    record,
    sharing,
    stages,
)
from okd_tf.pipeline import work as stage_work
from okd_tf.settings import arms as arm_settings
from okd_tf.teachers import bank, ensemble, folds, shards

_TITLE = "compare"  # what lines on screen begin with


@dataclasses.dataclass(frozen=True)
class Asked:
    """Request of a comparison.

    Attributes:
        arms: the arms, in the order of the table.
        trials: number of trainings of each; trials have different seeds and the same teachers.
        reference: name of the arm that others are compared with.
        results: path of the JSON file; page and plot are written beside it.
        command: the command line as the results show it.
        only: names of the arms to train in this call.
        only_trial: the trial to train in this call; None is all.
    """

    arms: tuple[arm_settings.Arm, ...]
    trials: int
    reference: str
    results: str
    command: str
    only: frozenset[str]
    only_trial: int | None = None


def run(chosen, asked):
    """Train the missing trainings of the arms; after each, write all results so far.

    Args:
        chosen: the `Settings` that arms have in common.
        asked: an `Asked`.

    Raises:
        UserError: a setting or file cannot be used, before any work if it can be known then; or, after all
            other trainings are done, that some failed.
    """
    _Comparison(chosen, asked).run()


class _Comparison:
    """One call of a comparison."""

    def __init__(self, chosen, asked):
        """Create the comparison from the common settings and the `Asked`; read nothing."""
        self._asked = asked
        self._runs = arm_runs.Runs(chosen)
        self._main = self._runs.main
        self._made_by = {"commit": provenance.commit(), "processor": provenance.processor()}
        self._failed = {}

    def run(self):
        """Check everything, make the shared results, and train.

        Raises:
            UserError: as `run`.
        """
        results = self._check()
        record.describe(self._main)
        self._say_plans()
        if self._need_teachers():
            _share(self._main, "teachers")
        for name in ("bank", "assistant"):
            for maker in self._makers(name):
                _share(maker, name)
        results.write(self._pairs)
        self._say_how_far()
        jobs = [self._job(pair, results) for pair in self._wanted]
        folder = self._main.workdir / "arms" / claims.FOLDER
        folder.parent.mkdir(parents=True, exist_ok=True)
        sharing.join(_TITLE, folder, jobs, lambda: True)
        results.write(self._pairs)
        results.show()
        if doing := sharing.others(folder, jobs):
            progress.say(f"{_TITLE}: others do what is left: {doing}")
        if self._failed:
            failed = "; ".join(f"{pair}: {why}" for pair, why in self._failed.items())
            raise errors.UserError(
                f"{_TITLE}: {len(self._failed)} of {len(jobs)} trainings failed, and the same command tries "
                f"them again: {failed}"
            )

    @functools.cached_property
    def _pairs(self):
        """Return all pairs, trial by trial, so that all arms have a result in the table early."""
        return [
            self._runs.pair(arm, trial) for trial in range(self._asked.trials) for arm in self._asked.arms
        ]

    @property
    def _wanted(self):
        """Return the pairs to train in this call."""
        names, trial = self._asked.only, self._asked.only_trial
        return [pair for pair in self._pairs if pair.arm.name in names and trial in (None, pair.trial)]

    def _makers(self, name):
        """Return the runs that make a stage's results for the wanted pairs, each once."""
        makers = dict.fromkeys(pair.run.maker_of(name) for pair in self._wanted)
        return [maker for maker in makers if maker is not self._main]

    def _need_teachers(self):
        """Return whether the loss of some wanted arm needs teachers; read no data."""
        arms = (arm for arm in self._asked.arms if arm.name in self._asked.only)
        return any(lessons.needs_teachers(arm.of(self._runs.common)) for arm in arms)

    def _check(self):
        """Raise UserError for unusable inputs before any work; return the `Results` to continue."""
        main, redo = self._main, self._runs.common.redo
        # First the arms' own flags, which need no data.
        needed = self._need_teachers()
        check.check(main, ("teachers",) if needed else ())
        for pair in self._wanted:
            if pair.trial == self._wanted[0].trial:
                self._check_arm(pair)
            if not redo:
                _refuse_to_replace(pair)
        self._check_room()
        return arm_results.Results(main, self._asked, redo, needed)

    def _check_arm(self, pair):
        try:
            check.check(pair.run, arm_runs.STAGES)
            if pair.run.settings.assistant:
                check.check(pair.run.maker_of("assistant"), ("assistant",))
            if pair.run.settings.held_out_only and lessons.needs_teachers(pair.run.settings):
                given = ensemble.paths(self._main.settings.teachers)
                held_out = list(map(folds.recorded, given)) or self._main.teaching.to_hold_out()
                folds.check_held_out(folds.seen(self._main.data.train.ids, held_out))
        except errors.UserError as error:
            raise errors.UserError(f"--arms: arm '{pair.arm.name}': {error}") from None

    def _check_room(self):
        """Raise UserError if the disk has no room for the banks, before the teachers are trained."""
        teachers = len(ensemble.paths(self._main.settings.teachers)) or self._main.settings.num_teachers
        missing = 0
        for maker in self._makers("bank"):
            plan = bank.plan(maker.data, maker.settings.views, teachers)
            if record.outdated(maker, stages.STAGES["bank"]):
                missing += sum(map(plan.shard_bytes, shards.unfinished(maker.teaching.bank_folder, plan)))
        files.require_space(self._main.workdir, missing, "what teachers say of the views")

    def _say_plans(self):
        """Print the plan of the teachers, and each different plan of the arms that have training to do."""
        if self._need_teachers():
            forecast.say(self._main, ("teachers",), timed=False)
        said = set()
        for pair in self._wanted:
            chosen = pair.run.settings
            plan = (chosen.searches, *(getattr(chosen, name) for name in settings.OPEN))
            if plan not in said and not pair.is_done:
                said.add(plan)
                forecast.say(pair.run, arm_runs.STAGES, timed=False)

    def _job(self, pair, results):
        return sharing.Job(
            f"{pair.arm.folder}/trial_{pair.trial}",
            lambda: pair in self._failed or pair.is_done,
            lambda: self._train(pair, results),
            tuple(pair.run.workdir / name / "history.csv" for name in ("search", "student")),
        )

    def _train(self, pair, results):
        """Run the stages of a pair; record a failure for the end, so that the other arms are trained."""
        # A run of its own, whose networks go with it.
        fresh = self._runs.pair(pair.arm, pair.trial)
        try:
            for stage in fresh.stages:
                record.complete(fresh.run, stage)
            arm_runs.write_origin(fresh.run, self._made_by)
        except errors.UserError as error:
            self._failed[pair] = error
            progress.say(f"{_TITLE}: {pair} failed: {error}")
            return
        results.write(self._pairs)
        self._say_how_far()

    def _say_how_far(self):
        """Print the number of finished trainings and, if it can be estimated, the remaining time."""
        wanted = self._wanted
        done = [pair for pair in wanted if pair.is_done]
        left = [pair for pair in wanted if pair not in done and pair not in self._failed]
        took = {pair: arm_runs.seconds(pair) for pair in self._pairs if pair in done or pair.is_done}
        line = f"{_TITLE}: {len(done)} of {len(wanted)} trainings done"
        if left and took:
            line += f", about {progress.duration(seconds_left(left, took))} left"
        progress.say(f"{line}; next: {left[0]}" if left else line)


def seconds_left(left, took):
    """Return the estimated seconds of trainings: the mean of their arm, or of all arms by epochs.

    Args:
        left: pairs that are not trained.
        took: seconds of trained pairs, by pair.
    """
    rate = sum(took.values()) / sum(pair.run.settings.student_epochs for pair in took)
    total = 0.0
    for pair in left:
        own = [seconds for other, seconds in took.items() if other.arm == pair.arm]
        total += sum(own) / len(own) if own else rate * pair.run.settings.student_epochs
    return total


def _share(maker, name):
    """Run a stage whose results arms share, or wait for another process that runs it."""
    stage = stages.STAGES[name]

    def do():
        with lock.holding(maker.workdir):
            stages.complete(maker, name)
            if name == "assistant":
                # Now, and not by each trial of the arm.
                stage_work.store_what_is_said(maker, len(maker.settings.assistant))

    job = sharing.Job(
        f"{name} in {maker.workdir}",
        lambda: not record.outdated(maker, stage),
        do,
        tuple(maker.workdir.glob(f"{stage.folder}/*/history.csv")),
    )
    sharing.complete(_TITLE, maker.workdir / f"{claims.FOLDER}_{name}", [job])


def _refuse_to_replace(pair):
    """Raise UserError if a pair's folder has results of other flags or teachers."""
    for name in ("student", "finals", "choice", "search"):
        stage = stages.STAGES[name]
        why = record.outdated(pair.run, stage) if stage in pair.stages else ""
        if why.startswith(record.OTHER_INPUTS):
            raise errors.UserError(
                f"--arms: arm '{pair.arm.name}': {pair.run.workdir} holds a {name} that {why}; add --redo to "
                "train it again, or give the arm another name"
            )
