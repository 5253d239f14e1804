"""Section of report.md on the finals: finalists' ranks by shared weights, in each round and in the end."""

import math

from scipy import stats

from okd_tf import progress
from okd_tf.student import finals


def lines(found, end=None):
    """Return the lines of the section.

    Args:
        found: content of finals.json.
        end: the student's validation accuracy after its own training; None if it is not trained.
    """
    entries, rounds = found["finalists"], found["rounds"]
    columns = [
        {index: entry["shared_weights"] for index, entry in enumerate(entries)},
        *(_of_round(entries, number) for number in range(len(rounds))),
    ]
    heads = ["shared weights", *(_epochs(one) for one in rounds)]
    return [
        "## Finals",
        "",
        f"{_who(entries)}, each trained from scratch: {_how_long(rounds)}; in all {finals.cost(found):.1f} "
        f"trainings of the student ({progress.duration(finals.seconds(found))}). {_won(found)} "
        f"{_correlations(columns, heads)}",
        "",
        f"| finalist | parameters | {' | '.join(heads)} | student |",
        f"|---|---:|{'---:|' * len(heads)}---:|",
        *(_row(found, columns, index, end) for index in _standing(columns)),
        "",
        "Validation accuracy, and in brackets the rank among those of the column. Only the winner is trained "
        "to the end.",
        "",
    ]


def _of_round(entries, number):
    """Return {finalist: figures} of a round."""
    return {
        index: entry["rounds"][number] for index, entry in enumerate(entries) if len(entry["rounds"]) > number
    }


def _order(column):
    """Return the finalists of a column, best first."""
    indices = list(column)
    return [indices[place] for place in finals.best_first(list(column.values()))]


def _standing(columns):
    """Return all finalists: those of the last round by rank, then those eliminated before it, and so on."""
    return list(dict.fromkeys(index for column in reversed(columns) for index in _order(column)))


def _who(entries):
    drawn = sum(entry["random"] for entry in entries)
    strategy = next(entry["strategy"] for entry in entries if not entry["random"])
    return f"{len(entries)} finalists, {len(entries) - drawn} of the search by {strategy} and {drawn} random"


def _how_long(rounds):
    texts = [f"{_epochs(one)} of each" for one in rounds]
    for number, one in enumerate(rounds[1:], 1):
        texts[number] = f"{texts[number]} of the best {one['finalists']}"
    return ", then ".join(texts)


def _epochs(one):
    return f"{one['epochs']} epoch{'' if one['epochs'] == 1 else 's'}"


def _won(found):
    winner = found["finalists"][found["winner"]]
    if winner["random"]:
        return f"A random one won: finalist {found['winner'] + 1}."
    if found["winner"] == 0:
        return "What the search had chosen by shared weights won."
    number = found["winner"] + 1
    return f"Another proposal of the search won than it had chosen by shared weights: finalist {number}."


def _correlations(columns, heads):
    """Return a sentence with Kendall's tau of each column and the next, over finalists in both; or ""."""
    said = []
    for before, after, first, second in zip(columns, columns[1:], heads, heads[1:], strict=False):
        accuracies = [(before[index]["accuracy"], after[index]["accuracy"]) for index in after]
        if all(len(set(values)) > 1 for values in zip(*accuracies, strict=True)):
            tau = stats.kendalltau(*zip(*accuracies, strict=True)).statistic
            if math.isfinite(tau):
                said.append(f"{first} and {second} {tau:.2f}")
    return f"Kendall's tau: {', '.join(said)}." if said else ""


def _row(found, columns, index, end):
    entry = found["finalists"][index]
    origin = "random" if entry["random"] else entry["strategy"]
    cells = [_cell(column, index) for column in columns]
    student = f"{100 * end:.2f} %" if index == found["winner"] and end is not None else ""
    return "| " + " | ".join([f"{index + 1}, {origin}", f"{entry['params']:,}", *cells, student]) + " |"


def _cell(column, index):
    if index not in column:
        return ""
    return f"{100 * column[index]['accuracy']:.2f} % ({_order(column).index(index) + 1})"
