"""Report of the teachers' diagnosis: a page, lines on screen and a plot, made from diagnosis.json."""

import numpy as np

from okd_tf import files
from okd_tf.teachers import diagnosis

TITLES = {"train": "train", "train_views": "train, augmented", "val": "val", "test": "test"}
_MEANING = """\
`train, augmented`: one augmented view of each of {viewed:,} training images, since views are what a student
learns from. `mean`: of the probabilities; `vote`: the class that most predict; `oracle`: some teacher is
right, which only the label tells. Choose teachers on `val`; `test` is there to compare the student with.
"""
_PLOTTED = {"train_views": "s", "val": "o", "test": "D"}  # whose accuracies are drawn, with which marker
_MOST_NUMBERED = 8  # teachers whose agreements are written into the plot


def table(found):
    """Return rows of text: name, parameters, accuracy on each part; first the teachers, then their ensembles.

    Args:
        found: content of diagnosis.json.
    """
    params = [teacher["params"] for teacher in found["teachers"]]
    rows = []
    for index, name in enumerate(diagnosis.titles(found["teachers"])):
        accuracies = [
            _percent(found[part]["per_teacher"][index]) + diagnosis.mark(found, part, index)
            for part in TITLES
        ]
        rows.append([name, f"{params[index]:,}", *accuracies])
    for who in _together(found):
        accuracies = [_percent(found[part][who]) + diagnosis.mark(found, part) for part in TITLES]
        rows.append([who, f"{sum(params):,}", *accuracies])
    return rows


def words(found):
    """Return one line each on the regime, warnings, teachers that add nothing, and held-out accuracies."""
    regime = found["regime"]
    lines = [f"{regime['name']}: {regime['says']}", *(f"warning: {text}" for text in found["warnings"])]
    idle = [_names(found)[index] for index in diagnosis.adds_nothing(found["val"])]
    if idle:
        lines.append(
            f"adds nothing that validation shows: {', '.join(idle)} (left out alone, the mean is no worse "
            "and the oracle hardly)"
        )
    if "held_out" in found:
        unseen, seen = (
            ", ".join("none" if share is None else _percent(share) for share in found["held_out"][name])
            for name in ("per_teacher", "seen")
        )
        lines.append(f"held out: right on training images not trained on: {unseen}; on the others: {seen}")
    return lines


def right_at_once(found):
    """Return a Markdown table: the share of each part's examples that exactly k teachers get right."""
    columns = [f"k = {k}" for k in range(len(found["teachers"]) + 1)]
    rows = [[title, *map(_percent, found[part]["k_of_n"])] for part, title in TITLES.items()]
    return _table(["split", *columns], rows)


def markdown(found):
    """Return the page in Markdown.

    Args:
        found: content of diagnosis.json.
    """
    lines = ["# Teachers", "", *(f"- {text}" for text in words(found)), ""]
    lines += ["![who is right, how accurate they are, who agrees](diagnosis.png)", ""]
    lines += _table(["accuracy", "parameters", *TITLES.values()], table(found))
    lines += ["", _MEANING.format(viewed=found["examples"]["train_views"])]
    lines += ["## How many are right at once", "", *right_at_once(found), ""]
    differs = [f"{_percent(found[part]['oracle_differs'])} ({title})" for part, title in TITLES.items()]
    lines += [f"The oracle's target is not that of the mean for {'; '.join(differs)}.", ""]
    lines += ["## How sure they are", "", *_sureness(found), ""]
    lines += ["Expected calibration error over 15 bins (Guo et al., 2017); loss: cross-entropy in nats.", ""]
    if len(found["teachers"]) > 1:
        lines += ["## Who adds what", "", *_without(found), ""]
        lines += ["Share of validation images for which two predict the same class:", ""]
        agreement = zip(_names(found), found["val"]["agreement"], strict=True)
        lines += _table(["", *_names(found)], [[name, *map(_percent, row)] for name, row in agreement])
        lines += [""]
    return "\n".join(lines)


def screen(found):
    """Return the table as aligned text, followed by the lines of `words`."""
    rows = [["accuracy", "parameters", *TITLES.values()], *table(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, "", *words(found)])


def plot(found, path):
    """Draw a .png file: numbers of correct teachers, accuracies and, with several teachers, agreement.

    Args:
        found: content of diagnosis.json.
        path: the .png file.

    Raises:
        UserError: the file system refuses.
    """
    # Imported here: it takes a second, and few stages draw. Figures, not pyplot: no display, no state.
    import matplotlib as mpl
    from matplotlib import figure

    blues = mpl.colormaps["Blues"]
    several = len(found["teachers"]) > 1
    drawing = figure.Figure(figsize=(15 if several else 10, 4.4), layout="constrained")
    axes = drawing.subplots(1, 3 if several else 2)
    _draw_right_at_once(axes[0], found, blues)
    _draw_accuracies(axes[1], found)
    if several:
        _draw_agreement(axes[2], found, blues)
    with files.replacing(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)


def _draw_right_at_once(axes, found, colours):
    teachers = len(found["teachers"])
    for k in range(teachers + 1):
        shares = np.array([100 * found[part]["k_of_n"][k] for part in TITLES])
        lefts = np.array([100 * sum(found[part]["k_of_n"][:k]) for part in TITLES])
        colour = colours(0.15 + 0.7 * k / teachers) if k else "#c44e52"
        label = {0: "none", teachers: "all" if teachers > 1 else "the teacher"}.get(k, str(k))
        axes.barh(list(TITLES.values()), shares, left=lefts, color=colour, edgecolor="white", label=label)
        for place, (share, left) in enumerate(zip(shares, lefts, strict=True)):
            if share >= 5:
                ink = "white" if k == 0 or k > 0.6 * teachers else "black"
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", color=ink)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the images, %")
    axes.set_title("how many teachers are right")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(7, teachers + 1), frameon=False)


def _draw_accuracies(axes, found):
    teachers, together = range(len(found["teachers"])), _together(found)
    labels = [*(str(one + 1) for one in teachers), *together]
    for number, (part, marker) in enumerate(_PLOTTED.items()):
        accuracies = [*found[part]["per_teacher"], *(found[part][who] for who in together)]
        places = np.arange(len(labels)) + 0.18 * (number - 1)
        axes.plot(places, 100 * np.array(accuracies), marker, color=f"C{number}", label=TITLES[part])
    if together:
        axes.axvline(len(teachers) - 0.5, color="0.8", linewidth=1)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    many = len(labels) > 10
    axes.set_xticks(range(len(labels)), labels, rotation=45 if many else 0)
    axes.set_ylabel("accuracy, %")
    axes.set_title("how accurate each is, and all together" if together else "how accurate it is")
    axes.grid(axis="y", color="0.9")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16 if many else -0.08), ncols=3, frameon=False)


def _draw_agreement(axes, found, colours):
    agreement = 100 * np.array(found["val"]["agreement"])
    numbers, same = range(len(agreement)), np.eye(len(agreement), dtype=bool)
    # The lowest lies in the middle of the scale: small differences are not drawn as great ones.
    lowest = agreement.min()
    shown = axes.imshow(
        np.ma.masked_where(same, agreement), cmap=colours, vmin=max(0.0, 2 * lowest - 100), vmax=100
    )
    axes.set_facecolor("0.93")
    if len(agreement) <= _MOST_NUMBERED:
        for row, column in zip(*np.nonzero(~same), strict=True):
            value = agreement[row, column]
            ink = "white" if value > (lowest + 100) / 2 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink)
    else:
        axes.figure.colorbar(shown, ax=axes, shrink=0.85)
    axes.set_xticks(numbers, [str(one + 1) for one in numbers])
    axes.set_yticks(numbers, [str(one + 1) for one in numbers])
    axes.set_xlabel("teacher")
    axes.set_ylabel("teacher")
    axes.set_title("same class predicted on val, %")


def _sureness(found):
    """Return a Markdown table: calibration error and loss of each teacher and of the mean."""
    rows = []
    for index, name in enumerate([*_names(found), *_together(found)[:1]]):
        figures = [
            found[part][what]["mean"] if name == "mean" else found[part][what]["per_teacher"][index]
            for what in ("calibration", "loss")
            for part in ("val", "test")
        ]
        rows.append([name, *map(_percent, figures[:2]), *(f"{loss:.3f}" for loss in figures[2:])])
    return _table(["", "calibration error, val", "test", "loss, val", "test"], rows)


def _without(found):
    """Return a Markdown table: validation accuracy of mean and oracle without each teacher."""
    val = found["val"]
    idle = diagnosis.adds_nothing(val)
    rows = [["none", _percent(val["mean"]), _percent(val["oracle"]), ""]]
    for index, name in enumerate(_names(found)):
        mean, oracle = (val["leave_one_out"][who][index] for who in ("mean", "oracle"))
        rows.append([name, _percent(mean), _percent(oracle), "no" if index in idle else "yes"])
    return _table(["left out", "mean, val", "oracle, val", "adds to them"], rows)


def _table(columns, rows):
    head = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def _together(found):
    return ("mean", "vote", "oracle") if len(found["teachers"]) > 1 else ()


def _names(found):
    return [f"teacher {index + 1}" for index in range(len(found["teachers"]))]


def _percent(share):
    return f"{100 * share:.2f} %"
