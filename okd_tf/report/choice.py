"""Section of report.md on the choice of the student's loss: the chosen one, the reason, and all figures."""

from okd_tf.settings import choices
from okd_tf.student import decision


def lines(found):
    """Return the lines of the section.

    Args:
        found: content of choice.json.
    """
    entries = found["candidates"]
    epochs = entries[found["taken"]]["epochs"]
    length = f"{epochs} epoch{'' if epochs == 1 else 's'}"
    rows = [
        "| " + " | ".join([name, *_figures(entry, name == decision.REFERENCE)]) + " |"
        for name, entry in entries.items()
    ]
    return [
        "## Loss of the student",
        "",
        f"train_loss: {choices.AUTO} took {_taken(found)} after {length} of each ({found['why']}).",
        "",
        "| loss | validation accuracy | over labels, points | log-loss | below labels', nats | seconds |",
        "|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"On {found['examples']:,} validation images; differences and standard errors are of pairs; "
        "log-loss at each network's best temperature.",
        "",
    ]


def _taken(found):
    name = found["taken"]
    if name == decision.REFERENCE:
        return f"{name}, the labels alone,"
    return f"{name}: {_gain(found['candidates'][name])} points over labels"


def _figures(entry, is_reference):
    accuracy, log_loss = f"{100 * entry['accuracy']:.2f} %", f"{entry['log_loss']:.3f}"
    nats = f"{entry['log_loss_gain']:+.3f} ± {entry['log_loss_error']:.3f}"
    over = ("", "") if is_reference else (_gain(entry), nats)
    return accuracy, over[0], log_loss, over[1], f"{entry['seconds']:.0f}"


def _gain(entry):
    return f"{100 * entry['accuracy_gain']:+.1f} ± {100 * entry['accuracy_error']:.1f}"
