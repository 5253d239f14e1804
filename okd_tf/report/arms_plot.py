"""The plot of arms over trials: test accuracies with standard errors, and the accuracies of the teachers."""

from okd_tf import files
from okd_tf.report import arms, trials


def plot(found, path):
    """Draw the results of all arms that have some into a .png file.

    Args:
        found: results, as `arms.read` returns them.
        path: the .png file.
    """
    # Imported here: it takes a second, and only plots need it. Figures, not pyplot: no display, no state.
    from matplotlib import figure

    trained = {name: arm for name, arm in found["arms"].items() if arm["trials"]}
    drawing = figure.Figure(figsize=(9, 1.6 + 0.32 * len(trained)), layout="constrained")
    axes = drawing.subplots()
    for place, arm in enumerate(trained.values()):
        values = list(arms.by_trial(arm, "test_accuracy", 100).values())
        mean, error = trials.mean_and_error(values)
        color = f"C{place % 10}"
        axes.plot(values, [place] * len(values), ".", alpha=0.4, color=color)
        axes.errorbar([mean], [place], xerr=error or 0.0, fmt="o", capsize=4, color=color)
    if teachers := found["teachers"]:
        each = teachers["per_teacher"]
        for value, style, label in (
            (sum(each) / len(each), ":", "teachers, mean of their accuracies"),
            (max(each), "--", "best teacher"),
            (teachers["mean"], "-", "ensemble of the teachers"),
        ):
            axes.axvline(100 * value, color="grey", linestyle=style, linewidth=1, label=label)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small", frameon=False)
    axes.set_yticks(range(len(trained)), list(trained))
    axes.set_ylim(max(1, len(trained)) - 0.5, -0.5)  # as the table: the first arm above
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("test accuracy, % (points: trials; with bars: mean and standard error)")
    with files.replacing(path, "--json") as temporary:
        drawing.savefig(temporary, format="png", dpi=120)
