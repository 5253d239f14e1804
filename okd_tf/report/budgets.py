"""Section of report.md on several budgets: accuracy against size of one search's students, with a plot."""

import pathlib

from okd_tf import files
from okd_tf.student import budgets, opponents
from okd_tf.teachers import diagnosis
from okd_tf.training import metrics

PLOT = f"{budgets.FOLDER}/accuracy.png"


def students(workdir, own, most):
    """Return {"most", "params", "val", "test"} of each evaluated student, by rising budget.

    Args:
        workdir: of the run.
        own: content of the metrics.json of the run's own student; None if it is not evaluated.
        most: its budget of parameters.
    """
    found = {budget: metrics.read(path) for budget, path in budgets.there(workdir).items()}
    if own:
        found[most] = own
    return [
        {
            "most": budget,
            "params": one["params"],
            "val": metrics.kept_of(one["val"])["accuracy"] if "val" in one else None,
            "test": one["test"]["accuracy"],
        }
        for budget, one in found.items()
        if "test" in one
    ]


def lines(rows):
    """Return the lines of the section; `rows` as `students` returns them."""
    return [
        "## Accuracy against size",
        "",
        f"Students of {len(rows)} budgets from one search. The last one is the run's own, which is exported; "
        f"`tools/export.py --student={budgets.FOLDER}/BUDGET/student/student.keras` exports another.",
        "",
        "| at most | parameters | validation | test |",
        "|---:|---:|---:|---:|",
        *(
            f"| {row['most']:,} | {row['params']:,} | {_percent(row['val'])} | {_percent(row['test'])} |"
            for row in rows
        ),
        "",
        f"![Test accuracy against parameters]({PLOT})",
        "",
    ]


def draw(workdir, current, most):
    """Draw the plot of the evaluated students and of the networks they are compared with, if all exist.

    Args:
        workdir: of the run.
        current: names of the stages whose results belong to the run in its current state.
        most: the budget of the run's own student.
    """
    workdir = pathlib.Path(workdir)
    if not {"budgets", "student", "evaluate"} <= current:
        return
    plain = {"baseline": "bare backbone, labels"} if "baseline" in current else {}
    if "opponents" in current:
        for one in opponents.read(workdir / "opponents" / opponents.NAME)["opponents"]:
            plain[f"opponents/{one['name']}"] = f"{one['title']}, {one['loss']}"
    found = {title: metrics.read(workdir / name / "metrics.json") for name, title in plain.items()}
    others = [(title, one["params"], one["test"]["accuracy"]) for title, one in found.items()]
    teachers = {}
    if "teachers" in current:
        test = diagnosis.read(workdir / "teachers" / "diagnosis.json")["test"]
        teachers = {"ensemble of the teachers": test["mean"], "best teacher": max(test["per_teacher"])}
    own = metrics.read(workdir / "student" / "metrics.json")
    plot(students(workdir, own, most), others, teachers, workdir / PLOT)


def plot(rows, others, teachers, path):
    """Draw test accuracy against parameters into a .png file.

    Args:
        rows: as `students` returns them.
        others: (name, parameters, test accuracy) of the plain networks to compare with.
        teachers: test accuracies of teachers by name, drawn as lines.
        path: the .png file.
    """
    # Imported here: it takes a second, and only plots need it. Figures, not pyplot: no display, no state.
    from matplotlib import figure

    drawing = figure.Figure(figsize=(7, 4.5), layout="constrained")
    axes = drawing.subplots()
    axes.plot(
        [row["params"] for row in rows],
        [100 * row["test"] for row in rows],
        "o-",
        color="C0",
        label="students",
    )
    for place, (name, params, accuracy) in enumerate(others, 1):
        axes.plot([params], [100 * accuracy], "s", color=f"C{place}", label=name)
    for (name, accuracy), style in zip(teachers.items(), ("-", "--", ":"), strict=False):
        axes.axhline(100 * accuracy, color="grey", linestyle=style, linewidth=1, label=name)
    axes.set_xlabel("parameters")
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False)
    with files.replacing(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)


def _percent(share):
    return "" if share is None else f"{100 * share:.2f} %"
