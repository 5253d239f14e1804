"""Choice of the student's training loss from the validation logits of networks trained with each candidate.

Each network is compared with one trained with labels alone, image by image: paired differences on the same
images vary far less than the figures of either network. Two figures are compared:

    accuracy   the figure that counts, but coarse on few images: on 50, one standard error is about 4 points
    log-loss   -log p(label), which also shows how nearly a network is right; each network's logits are first
               divided by the one temperature that is best on these images (Guo et al., 2017), so that an
               overconfident network, as those trained with labels are, is not penalised for that alone

A loss is chosen instead of labels only if it is better by more than noise, and never if it is worse by more
than a standard error in either figure.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

REFERENCE = "ce"  # the loss of labels alone

CLEAR_ACCURACY = 1.0  # standard errors by which an accuracy must be higher to count as higher
CLEAR_LOSS = 2.0  # and a log-loss lower: a better log-loss is only a sign of the accuracy to come
MOST_LOST = 0.5  # standard errors of accuracy that may be missing where the log-loss alone speaks for a loss

_ROUNDING = 1 + 1e-9  # one image won is one standard error, which floats may miss either way
_SHARPEST, _BISECTIONS = 5.0, 80  # |log temperature| at most; steps of the search for it


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean difference between two networks over the same images, and its standard error in the same unit."""

    mean: float
    error: float

    @classmethod
    def of(cls, differences: np.ndarray) -> "Difference":
        """Return the `Difference` of differences [images]; for a single image the error is |difference|."""
        mean, count = float(np.mean(differences)), len(differences)
        error = float(np.std(differences, ddof=1) / np.sqrt(count)) if count > 1 else abs(mean)
        return cls(mean, error)

    def exceeds(self, errors: float) -> bool:
        """Return whether the mean is above zero by more than `errors` standard errors."""
        return self.mean > errors * self.error * _ROUNDING

    def falls_below(self, errors: float) -> bool:
        """Return whether the mean is below zero by more than `errors` standard errors."""
        return self.mean < -errors * self.error * _ROUNDING


@dataclasses.dataclass(frozen=True)
class Figures:
    """Validation figures of a network.

    Attributes:
        accuracy: share of the images classified correctly.
        log_loss: mean of -log p(label) in nats, at the best temperature.
        temperature: the temperature with the least log-loss on these images.
        accuracy_gain: accuracy minus that of the network trained with labels, a share.
        log_loss_gain: log-loss of the network trained with labels minus this one's, in nats.
    """

    accuracy: float
    log_loss: float
    temperature: float
    accuracy_gain: Difference
    log_loss_gain: Difference

    @property
    def is_worse(self) -> bool:
        """Return whether labels are better by more than a standard error, in accuracy or in log-loss."""
        return self.accuracy_gain.falls_below(1.0) or self.log_loss_gain.falls_below(1.0)

    @property
    def is_more_accurate(self) -> bool:
        """Return whether the network is more accurate than the one trained with labels by more than noise."""
        return self.accuracy_gain.exceeds(CLEAR_ACCURACY)

    @property
    def is_better(self) -> bool:
        """Return whether the network is better than the one trained with labels by more than noise."""
        if self.is_worse:
            return False
        nearly = not self.accuracy_gain.falls_below(MOST_LOST)
        return self.is_more_accurate or (nearly and self.log_loss_gain.exceeds(CLEAR_LOSS))


@dataclasses.dataclass(frozen=True)
class Decision:
    """The chosen loss, the reason in words, and the `Figures` of each candidate."""

    taken: str
    why: str
    figures: dict[str, Figures]


def decide(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> Decision:
    """Return the loss to train with.

    Among the losses that are better than labels, the most accurate is found; of those whose accuracy is
    within one standard error of it, image by image, the one with the lowest log-loss is chosen. If none is
    better, labels are chosen.

    Args:
        logits: [images, classes] by loss, of a network trained with it; must contain REFERENCE.
        labels: int [images], at least one.

    Returns:
        The `Decision`; a pure function of its input. Of losses with equal figures the first is chosen.
    """
    right = {name: (np.argmax(each, axis=1) == labels).astype(np.float64) for name, each in logits.items()}
    scaled = {name: _at_best_temperature(each, labels) for name, each in logits.items()}
    nats = {name: losses for name, (losses, _) in scaled.items()}
    figures = {
        name: Figures(
            accuracy=float(right[name].mean()),
            log_loss=float(nats[name].mean()),
            temperature=scaled[name][1],
            accuracy_gain=Difference.of(right[name] - right[REFERENCE]),
            log_loss_gain=Difference.of(nats[REFERENCE] - nats[name]),
        )
        for name in logits
    }
    better = [name for name, found in figures.items() if name != REFERENCE and found.is_better]
    if not better:
        return Decision(REFERENCE, _why_labels(figures), figures)
    best = max(better, key=lambda name: (figures[name].accuracy, -figures[name].log_loss))
    near = [name for name in better if not Difference.of(right[best] - right[name]).exceeds(1.0)]
    taken = min(near, key=lambda name: figures[name].log_loss)
    return Decision(taken, _why(figures, taken, best), figures)


def points(difference: Difference) -> str:
    """Return a difference of accuracies in words."""
    return f"{100 * difference.mean:+.1f} ± {100 * difference.error:.1f} points"


def _why(figures: dict[str, Figures], taken: str, best: str) -> str:
    found = figures[taken]
    said = f"{taken} is better than labels by {points(found.accuracy_gain)} of accuracy"
    if not found.is_more_accurate:
        said = (
            f"{taken} is as accurate as labels ({points(found.accuracy_gain)}), and its log-loss is lower by "
            f"{_nats(found.log_loss_gain)}"
        )
    if taken != best:
        said += (
            f"; {best} is no more accurate than that by more than a standard error, and has a higher log-loss"
        )
    return said


def _why_labels(figures: dict[str, Figures]) -> str:
    others = {name: found for name, found in figures.items() if name != REFERENCE}
    if not others:
        return "labels alone were tried"
    closest = max(others, key=lambda name: (others[name].accuracy, -others[name].log_loss))
    found = others[closest]
    return (
        f"no other loss is better than labels by more than noise: the most accurate, {closest}, has "
        f"{points(found.accuracy_gain)} of accuracy, and a log-loss lower by {_nats(found.log_loss_gain)}"
    )


def _nats(difference: Difference) -> str:
    return f"{difference.mean:.3f} ± {difference.error:.3f} nats"


def _at_best_temperature(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return -log softmax(logits / T)_label [images], and the T > 0 with the least mean of these.

    The mean is convex in 1 / T, so the sign of its slope, mean(E_p[z] - z_label) with p = softmax(z / T),
    tells on which side of a T the best one is.
    """
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    of_label = logits[np.arange(len(labels)), labels]
    low, high = -_SHARPEST, _SHARPEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        p = np.exp(logits * np.exp(-middle))
        p /= p.sum(axis=1, keepdims=True)
        too_sharp = np.mean((p * logits).sum(axis=1) - of_label) > 0
        low, high = (middle, high) if too_sharp else (low, middle)
    temperature = float(np.exp((low + high) / 2))
    scaled = logits / temperature
    return np.log(np.exp(scaled).sum(axis=1)) - of_label / temperature, temperature
