"""Comparison of the student with the plain networks (baseline, opponents), over one trial or several.

It gives accuracies with standard errors, paired differences with a verdict, and which student is exported.
"""

import dataclasses
import math
import pathlib

import numpy as np

from okd_tf.report import trials as over_trials
from okd_tf.settings import choices
from okd_tf.student import opponents, trials
from okd_tf.training import metrics, quality

STUDENT = "student"
_NAMES = {  # folder: how a difference calls the network
    "baseline": "bare backbone, labels",
    "opponents/bare": "bare backbone, same loss",
    "opponents/same_size_labels": "same-size plain network, labels",
    "opponents/same_size": "same-size plain network, same loss",
}
_RULE = """\
Differences are of test accuracy, by the same recipe and number of epochs, trial by trial; `±` is the standard
error of their mean. Better or worse is what Student's t-test finds beyond it, each of which is wrong at most
once in twenty."""
_ONE_TRIAL = """\
Differences are of test accuracy, by the same recipe and number of epochs; `±` is the standard error that the
test images leave of these two networks (McNemar). It knows nothing of other seeds, so there is no verdict:
`--trials=3` has one."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A student, baseline or opponent with its figures in each trial.

    Attributes:
        folder: its folder below a trial's workdir.
        title: its name in tables.
        by_trial: content of its metrics.json by trial, for the trials in which it is evaluated.
    """

    folder: str
    title: str
    by_trial: dict

    def accuracies(self, split="test"):
        """Return the accuracy in percent by trial; on validation images that of the kept weights."""
        if split == "test":
            return {trial: 100 * one["test"]["accuracy"] for trial, one in self.by_trial.items()}
        kept = {trial: metrics.kept_of(one["val"]) for trial, one in self.by_trial.items() if "val" in one}
        return {trial: 100 * one["accuracy"] for trial, one in kept.items()}

    def row(self):
        """Return [title, parameters, test accuracy]: means over trials."""
        size = sum(one["params"] for one in self.by_trial.values()) / len(self.by_trial)
        return [self.title, f"{round(size):,}", _spread(self.accuracies())]


def networks(workdir, current, count=1):
    """Return the `Network`s that are evaluated; the student is the last.

    Args:
        workdir: of the run.
        current: names of the stages whose results belong to the run in its current state.
        count: number of trials.
    """
    if "evaluate" not in current:
        return []
    folders = [trials.folder(workdir, trial) for trial in range(count if "trials" in current else 1)]
    titles: dict[str, dict] = {}
    if "baseline" in current:
        titles["baseline"] = {"bare backbone, cross-entropy": None}
    for folder in folders:
        for one in described(folder, current)["opponents"]:
            titles.setdefault(f"opponents/{one['name']}", {})[title_of(one)] = None
    titles[STUDENT] = {STUDENT: None}
    found = []
    for name, own in titles.items():
        # The same-size network of another trial may have another width.
        title = next(iter(own)) if len(own) == 1 else _NAMES[name]
        read = {trial: _read(folder / name) for trial, folder in enumerate(folders)}
        by_trial = {trial: one for trial, one in read.items() if one and "test" in one}
        found += [Network(name, title, by_trial)] if by_trial else []
    return found


def described(workdir, current):
    """Return the content of opponents.json of a run or trial, if it belongs to the run as it is now."""
    path = pathlib.Path(workdir) / "opponents" / opponents.NAME
    if "opponents" in current and path.exists():
        return opponents.read(path)
    return opponents.document([], [])


def title_of(one):
    """Return the name in tables of an opponent of opponents.json."""
    return f"{one['title']}, {'cross-entropy' if one['loss'] == choices.LABELS else one['loss']}"


def differences(found):
    """Return "student - NETWORK: DIFFERENCE" of each opponent, as lines; `found` as `networks` returns it."""
    by_folder = {one.folder: one for one in found}
    student = by_folder.pop(STUDENT, None)
    if student is None:
        return []
    lines = []
    for folder, other in by_folder.items():
        gains = over_trials.paired(student.accuracies(), other.accuracies())
        if gains:
            said = over_trials.difference(gains, unit="points", error_of_one=_of_images(student, other))
            lines.append(f"student - {_NAMES[folder]}: {said}")
    return lines


def screen(workdir, current, count=1):
    """Return the lines below the table on screen; arguments as those of `networks`."""
    found = networks(workdir, current, count)
    return [*differences(found), *_exported(workdir, _of_all_trials(found, count), count)]


def section(workdir, current, count=1):
    """Return the lines of report.md: differences and, with several trials, the students of each.

    Takes the arguments of `networks`.
    """
    found = networks(workdir, current, count)
    lines, said = [], differences(found)
    if said:
        several = len(found[-1].by_trial) > 1
        lines += [*(f"- {line}" for line in said), "", _RULE if several else _ONE_TRIAL, ""]
    lines += _students(workdir, _of_all_trials(found, count), count)
    return ["## Student and opponents", "", *lines] if lines else []


def _of_all_trials(found, count):
    """Return the student if there are several trials and it is evaluated in all of them; else None."""
    student = next((one for one in found if one.folder == STUDENT), None)
    return student if student and len(student.by_trial) == count > 1 else None


def _exported(workdir, student, count):
    """Return which trial's student is exported, as lines; none without a `student` of all trials."""
    if student is None:
        return []
    won = trials.winner(workdir, count)
    val = student.accuracies("val").get(won)
    reached = "" if val is None else f" ({_percent(val)})"
    return [f"The student of trial {won} is the one to export: the best of {count} on validation{reached}."]


def _students(workdir, student, count):
    """Return the lines of the students of all trials; none without a `student` of all trials."""
    if student is None:
        return []
    won, val, test = trials.winner(workdir, count), student.accuracies("val"), student.accuracies()
    rows = [
        f"| {trial}{', to export' * (trial == won)} | {one['params']:,} | {_percent(val.get(trial))} | "
        f"{_percent(test[trial])} |"
        for trial, one in student.by_trial.items()
    ]
    return [
        *_exported(workdir, student, count),
        "",
        "| trial | parameters | validation | test |",
        "|---|---:|---:|---:|",
        *rows,
        "",
    ]


def _of_images(one, other):
    """Return the standard error, in points, of a difference of two networks due to the test images.

    With n images, of which b are right in the first network alone and c in the second alone, the difference
    (b - c) / n has the variance (b + c - (b - c)^2 / n) / n^2; for equally good networks it is that of
    McNemar's test (1947). Return None if it is not recorded which images are right.
    """
    both = [found.by_trial[min(found.by_trial)]["test"].get("right") for found in (one, other)]
    if None in both or len(set(map(len, both))) > 1:
        return None
    first, second = (np.array(quality.unpacked(text)) for text in both)
    total = sum(map(sum, one.by_trial[min(one.by_trial)]["test"]["confusion"]))
    alone, others = int((first & ~second).sum()), int((second & ~first).sum())
    return 100 * math.sqrt(alone + others - (alone - others) ** 2 / total) / total


def _spread(accuracies):
    mean, error = over_trials.mean_and_error(list(accuracies.values()))
    return f"{mean:.2f} %" if error is None else f"{mean:.2f} ± {error:.2f} %"


def _percent(value):
    return "" if value is None else f"{value:.2f} %"


def _read(folder):
    path = folder / "metrics.json"
    return metrics.read(path) if path.exists() else None
