"""Section of the arms page on arms that search: cost of the searches, quality of ranking, architectures."""

from okd_tf import progress
from okd_tf.report import trials

COLUMNS = ("arm", "shared weights, %", "images", "time", "Kendall's tau")
MEANING = """\
`shared weights`: validation accuracy of what the search chose, with its shared weights. `images`: training
and validation images that the steps and rewards of a search used; `time`: of its epochs. Ranking candidates
at the end, the same for all, is in neither. `Kendall's tau`: with finals, the rank correlation of finalists'
validation accuracies with shared weights and after their first training from scratch. Mean ± standard error
over trials. What became the student:
"""


def check(row):
    """Raise UserError if a search figure is not of its type; `row` is the `Field` of a trial."""
    for name in ("search_images", "search_seconds"):
        if one := row.get(name):
            one.number(0)
    if shared := row.get("shared_val_accuracy"):
        shared.share()
    if (tau := row.get("kendall_tau")) and tau.value is not None:
        tau.number(-1, 1)
    if add_ons := row.get("add_ons"):
        for one in add_ons.items():
            one.text()


def table(found):
    """Return rows of text, one for each arm that searches; `found` as `arms.read` returns it."""
    return [
        (
            name,
            _spread(rows, "shared_val_accuracy", 100, "{:.2f}"),
            _spread(rows, "search_images", 1, "{:,.0f}"),
            progress.duration(sum(row["search_seconds"] for row in rows) / len(rows)),
            _spread(rows, "kendall_tau", 1, "{:.2f}"),
        )
        for name, rows in _searched(found).items()
    ]


def found_by(found):
    """Return the architectures that each search found, as lines of a list."""
    return [
        f"- {name}, trial {row['seed']}: {', '.join(row['add_ons']) or 'no add-on layer'}"
        for name, rows in _searched(found).items()
        for row in rows
    ]


def _searched(found):
    """Return the trials that have searched, by arm."""
    by_arm = {
        name: [row for row in arm["trials"] if "search_images" in row] for name, arm in found["arms"].items()
    }
    return {name: rows for name, rows in by_arm.items() if rows}


def _spread(rows, figure, factor, form):
    values = [factor * row[figure] for row in rows if row.get(figure) is not None]
    if not values:
        return "-"
    mean, error = trials.mean_and_error(values)
    return form.format(mean) + (f" ± {form.format(error)}" if error else "")
