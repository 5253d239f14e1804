"""Cost and outcome of an arm's search: the figures of one trial for the results."""

import math

from scipy import stats

from okd_tf import search
from okd_tf.arch import spec
from okd_tf.search import candidates
from okd_tf.student import finals
from okd_tf.training import history


def figures(run):
    """Return the figures of a finished run's search, as JSON values.

    Returns:
        search_images: training and validation images that its steps and rewards have put through networks;
            without the final ranking of candidates, which is the same for all strategies.
        search_seconds: seconds of its epochs.
        shared_val_accuracy: validation accuracy of the chosen architecture with the shared weights.
        add_ons: added layers of the trained architecture, each in words.
        finals_seconds, random_won, kendall_tau: with finals; the last is the rank correlation of accuracies
            with shared weights and in the first round, null if either has only ties.
    """
    folder = run.workdir / "search"
    epochs = history.finished(folder / "history.csv", run.settings.search_epochs)
    found = {
        "search_images": images(run.settings, epochs, len(run.data.val)),
        "search_seconds": round(sum(row["seconds"] for row in epochs), 1),
        "shared_val_accuracy": candidates.chosen(folder / "candidates.json")["val_accuracy"],
        "add_ons": [_in_words(one) for one in spec.read(run.arch_path).add_ons],
    }
    if run.settings.finals:
        held = finals.read(run.finals_path)
        found["finals_seconds"] = round(finals.seconds(held), 1)
        found["random_won"] = held["finalists"][held["winner"]]["random"]
        found["kendall_tau"] = _tau(held["finalists"])
    return found


def images(chosen, epochs, validation_examples):
    """Return the number of training and validation images that a search has put through its networks.

    Args:
        chosen: its settings.
        epochs: its history.
        validation_examples: number of validation images.
    """
    validation = min(chosen.batch_size, validation_examples)
    per_step = chosen.batch_size + validation * search.STRATEGIES[chosen.strategy].bilevel
    updates = sum(row.get("controller/updates", 0) for row in epochs)
    return int(epochs[-1]["step"] * per_step + updates * chosen.controller_children * validation)


def _in_words(add_on):
    return f"{add_on.op}{' chain' * add_on.chain}{' feed_back' * add_on.feed_back}"


def _tau(finalists):
    """Return Kendall's tau of finalists' accuracies with shared weights and in the first round; or None."""
    pairs = [(one["shared_weights"]["accuracy"], one["rounds"][0]["accuracy"]) for one in finalists]
    if any(len(set(values)) < 2 for values in zip(*pairs, strict=True)):
        return None
    tau = stats.kendalltau(*zip(*pairs, strict=True)).statistic
    return float(tau) if math.isfinite(tau) else None
