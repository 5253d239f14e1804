"""What a comparison of search strategies found, as a page, lines on screen, and a plot."""

import numpy as np

from okd_tf import files, progress
from okd_tf.report import trials

_COLUMNS = ("strategy", "shared", "val", "test", "parameters", "images", "time", "Kendall tau")
_MEANING = """\
`shared`: validation accuracy, in percent, of what was found, with the search's shared weights. `val`, `test`:
after training it from scratch (last epoch). `images`: training and validation images that the search's steps
and rewards used; `time`: of its epochs. Ranking candidates at the end, the same for all, is in neither.
`Kendall tau`: rank correlation between validation accuracies with shared weights and after training, over
{sample} architectures drawn uniformly from the budget. Means, and standard deviations over trials where there
are several.
"""


def table(found):
    """Rows of text, one a strategy in the order they came.

    Args:
        found: what comparison.json holds.
    """
    rows = []
    for who in dict.fromkeys(row["who"] for row in found["results"]):
        own = [row for row in found["results"] if row["who"] == who]
        rows.append(
            (
                who,
                _spread([row.get("shared_val_accuracy") for row in own], "{:.2f}", 100),
                _spread([row["val_accuracy"] for row in own], "{:.2f}", 100),
                _spread([row["test_accuracy"] for row in own], "{:.2f}", 100),
                _spread([row["params"] for row in own], "{:,.0f}"),
                _mean([row.get("search_images") for row in own], "{:,.0f}".format),
                _mean([row.get("search_seconds") for row in own], progress.duration),
                _spread([row.get("kendall_tau") for row in own], "{:.2f}"),
            )
        )
    return rows


def markdown(found):
    """The page."""
    lines = ["# Search strategies compared", ""]
    lines += [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    lines += [f"| {' | '.join(row)} |" for row in table(found)]
    meaning = _MEANING.format(sample=len(found["sample"])) + _learnt_by(found)
    lines += ["", meaning, _verdict(found), "", "## What was found", ""]
    for row in found["results"]:
        lines.append(
            f"- {row['who']}, trial {row['trial']}: {', '.join(row['add_ons']) or 'no add-on layer'}"
        )
    return "\n".join(lines) + "\n"


def _learnt_by(found):
    return f"All students learnt by `{found['train_loss']}`.\n" if "train_loss" in found else ""


def screen(found):
    """The table as lines of equal width."""
    return "\n".join([*trials.lines([_COLUMNS, *table(found)]), "", _verdict(found)])


def plot(found, path):
    """Two pictures in one file: accuracy after training by strategy, and shared weights against training.

    Args:
        found: what comparison.json holds.
        path: of a .png file.
    """
    # Imported here: it takes a second, and nothing else draws. Figures, not pyplot: no display, no state.
    from matplotlib import figure

    drawing = figure.Figure(figsize=(11, 4.5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    names = list(dict.fromkeys(row["who"] for row in found["results"]))
    for place, who in enumerate(names):
        values = [100 * row["test_accuracy"] for row in found["results"] if row["who"] == who]
        left.plot([place] * len(values), values, "o", alpha=0.5, color=f"C{place}")
        left.plot([place - 0.2, place + 0.2], [np.mean(values)] * 2, color=f"C{place}")
    left.set_xticks(range(len(names)), names)
    left.set_ylabel("test accuracy, %")
    left.set_title("what was found, trained (points: trials; bars: means)")
    trained = [100 * row["val_accuracy"] for row in found["sample"]]
    for place, who in enumerate(names):
        for row in found["results"]:
            if row["who"] == who and row.get("sample_shared_val_accuracy"):
                shared = [100 * value for value in row["sample_shared_val_accuracy"]]
                label = who if row["trial"] == 0 else None
                right.plot(shared, trained, "o", alpha=0.5, color=f"C{place}", label=label)
    right.set_xlabel("validation accuracy with shared weights, %")
    right.set_ylabel("validation accuracy trained, %")
    right.set_title("architectures drawn uniformly")
    if right.has_data():
        right.legend()
    with files.replacing(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)


def _verdict(found):
    """Whether each strategy did better than random search on the test split, and how sure that is."""
    by_trial = {}
    for row in found["results"]:
        by_trial.setdefault(row["who"], {})[row["trial"]] = 100 * row["test_accuracy"]
    if "random" not in by_trial:
        return "Random search was not among those compared."
    lines = ["Test accuracy less that of random search, points (mean of the trials ± standard error):"]
    for who, accuracies in by_trial.items():
        if who == "random":
            continue
        mean, error = trials.mean_and_error(trials.paired(accuracies, by_trial["random"]))
        if error is None:
            lines.append(f"- {who}: {mean:+.2f}; one trial says nothing of the spread")
            continue
        lines.append(f"- {who}: {mean:+.2f} ± {error:.2f}, {trials.verdict(mean, error)}")
    return "\n".join(lines)


def _spread(values, form, factor=1):
    """Mean and standard deviation as text; "-" where there is nothing."""
    values = [factor * value for value in values if value is not None]
    if not values:
        return "-"
    mean = form.format(np.mean(values))
    return f"{mean} ± {form.format(np.std(values, ddof=1))}" if len(values) > 1 else mean


def _mean(values, form):
    values = [value for value in values if value is not None]
    return form(float(np.mean(values))) if values else "-"
