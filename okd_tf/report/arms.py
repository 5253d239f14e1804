"""Results of arms over trials: reading of their JSON file, the page, and the table on screen.

{"arms": {ARM: {"params": n, "flags": {FLAG: value}, "trials": [
            {"seed": trial, "params": n, "val_accuracy", "val_loss", "test_accuracy", "test_loss",
             "epochs": n, "train_accuracy": of the last epoch or null, "seconds": of the student's epochs,
             "search_images", "search_seconds", "shared_val_accuracy", "add_ons": where it searches,
             "finals_seconds", "random_won", "kendall_tau": where there were finals,
             "train_loss", "choice_seconds": where auto chose the loss, "commit", "processor"}]}},
 "missing": [[ARM, trial]], "reference": ARM,
 "teachers": {"per_teacher", "mean", "vote", "oracle", "loss": {"per_teacher", "mean"}: of the test split,
              "val": {the same}, "params": [n], "sha256": [..]} or null,
 "common": {FLAG: value}, "commit", "command", "precision", "processor"}
"""

from okd_tf import errors, fields, progress
from okd_tf.report import arm_searches, trials
from okd_tf.teachers import diagnosis

_COLUMNS = (
    *("arm", "parameters", "trials", "val, %", "test, %", "difference, points"),
    *("val loss", "test loss", "difference of loss"),
)
_MEANING = """\
Accuracies in percent, losses in nats, of the weights that a training keeps. Mean ± standard error over
trials. `difference`: on the test split, to the same trials of `{reference}`; better or worse where Student's
t-test finds it beyond its error, each of which is wrong at most once in twenty. The test split is read once,
at the end of a training.
"""
_MEND = "mend it, or delete it and the same command writes it again"


def read(path):
    """Return the content of a JSON file of results.

    Raises:
        UserError: missing, damaged, or of another form; names the file and the field.
    """
    document = fields.read(path, mend=_MEND)
    for arm in document["arms"].entries().values():
        arm["flags"].entries()
        for row in arm["trials"].items():
            row["seed"].whole(), row["params"].whole(), row["epochs"].whole(1), row["seconds"].number(0)
            for split in ("val", "test"):
                row[f"{split}_accuracy"].share(), row[f"{split}_loss"].number()
            row["commit"].text(), row["processor"].text()
            arm_searches.check(row)
        params = arm.entries().get("params")
        if params is None or params.value is not None or arm["trials"].value:
            arm["params"].whole()
    if not document["arms"].value:
        raise document["arms"].unexpected("at least one arm")
    document["reference"].text(list(document["arms"].value))
    for pair in document["missing"].items():
        name, trial = pair.items(2)
        name.text(), trial.whole()
    document["common"].entries()
    for name in ("commit", "command", "precision", "processor"):
        document[name].text()
    teachers = document.entries().get("teachers")
    if teachers is None:
        raise document.refusal("missing field teachers")
    if teachers.value is not None:
        count = len(teachers["sha256"].items())
        teachers["params"].wholes(count)
        for part in (teachers, teachers["val"]):
            part["per_teacher"].shares(count)
            for name in ("mean", "vote", "oracle"):
                part[name].share()
        for flags in teachers["carved"].entries().values() if teachers.get("carved") else ():
            for flag in flags.items(count):
                flag.flag()
        for warning in teachers["warnings"].items() if teachers.get("warnings") else ():
            warning.text()
    return document.value


def with_reference(found, name):
    """Return results with another arm as the reference of the comparison.

    Raises:
        UserError: there is no arm of this name.
    """
    if name not in found["arms"]:
        raise errors.unknown("--reference", name, found["arms"])
    return {**found, "reference": name}


def table(found):
    """Return rows of text, one for each arm.

    Args:
        found: results, as `read` returns them.
    """
    reference = found["arms"][found["reference"]]
    rows = []
    for name, arm in found["arms"].items():
        rows.append(
            (
                name,
                "-" if arm["params"] is None else f"{arm['params']:,}",
                str(len(arm["trials"])),
                spread(arm, "val_accuracy", 100, 2),
                spread(arm, "test_accuracy", 100, 2),
                _difference(arm, reference, "test_accuracy", 100, 2),
                spread(arm, "val_loss", 1, 4),
                spread(arm, "test_loss", 1, 4),
                _difference(arm, reference, "test_loss", 1, 4, lower_is_better=True),
            )
        )
    return rows


def markdown(found):
    """Return the page in Markdown."""
    lines = ["# Arms compared", "", f"`{found['command']}`", ""]
    lines += _of(_COLUMNS, [row for row in table(found) if found["arms"][row[0]]["trials"]])
    lines += ["", _MEANING.format(reference=found["reference"])]
    if missing := found["missing"]:
        lines += [f"Not trained yet: {_missing(missing)}.", ""]
    if searches := arm_searches.table(found):
        lines += ["## Searches", "", *_of(arm_searches.COLUMNS, searches), "", arm_searches.MEANING]
        lines += [*arm_searches.found_by(found), ""]
    if found["teachers"]:
        lines += ["## Teachers", "", *_of(("", "parameters", "val, %", "test, %"), _teachers(found)), ""]
        lines += [line for text in found["teachers"].get("warnings", []) for line in (text, "")]
    lines += ["## Flags", ""]
    lines += [f"- all: {_flags(found['common'])}"]
    lines += [f"- {name}: {_flags(arm['flags'])}" for name, arm in found["arms"].items()]
    rows = [row for arm in found["arms"].values() for row in arm["trials"]]
    if rows:
        took = progress.duration(sum(row["seconds"] for row in rows) / len(rows))
        lines += ["", f"Commit {found['commit'] or 'unknown'}; {found['processor']}, {took} a student."]
    return "\n".join(lines) + "\n"


def screen(found):
    """Return the table as lines of equal width."""
    lines = trials.lines([_COLUMNS, *table(found)])
    if searches := arm_searches.table(found):
        lines += ["", *trials.lines([arm_searches.COLUMNS, *searches])]
    if missing := found["missing"]:
        lines += ["", f"not trained yet: {_missing(missing)}"]
    return "\n".join(lines)


def by_trial(arm, figure, factor=1):
    """Return a figure of an arm by trial."""
    return {row["seed"]: factor * row[figure] for row in arm["trials"]}


def spread(arm, figure, factor, digits):
    """Return mean ± standard error of a figure as text; "-" without values."""
    values = list(by_trial(arm, figure, factor).values())
    if not values:
        return "-"
    mean, error = trials.mean_and_error(values)
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _difference(arm, reference, figure, factor, digits, lower_is_better=False):
    """Return the paired differences of a figure to those of the reference, in words."""
    gains = trials.paired(by_trial(arm, figure, factor), by_trial(reference, figure, factor))
    if arm is reference or not gains:
        return "-"
    return trials.difference(gains, digits, lower_is_better=lower_is_better)


def _teachers(found):
    teachers = found["teachers"]
    parts = {"val": teachers["val"], "test": teachers}

    def figure(part, share, index=None):
        return f"{100 * share:.2f}{diagnosis.mark(teachers, part, index)}"

    rows = []
    for index, params in enumerate(teachers["params"]):
        own = [figure(name, part["per_teacher"][index], index) for name, part in parts.items()]
        rows.append((f"teacher {index + 1}", f"{params:,}", *own))
    together = f"{sum(teachers['params']):,}"
    for name in ("mean", "vote", "oracle"):
        rows.append((name, together, *(figure(part, one[name]) for part, one in parts.items())))
    return rows


def _of(columns, rows):
    """Return a table in Markdown as lines."""
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]


def _flags(flags):
    """Return flags as a command line has them."""
    words = {True: "true", False: "false"}
    shown = [
        f"--{name}={words[value] if isinstance(value, bool) else value}" for name, value in flags.items()
    ]
    return f"`{' '.join(shown)}`" if shown else "as all"


def _missing(pairs):
    return "; ".join(
        f"{name}, trial {', '.join(str(trial) for other, trial in pairs if other == name)}"
        for name in dict.fromkeys(name for name, _ in pairs)
    )
