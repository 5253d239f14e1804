"""Which loss a student is to be trained with, given what networks trained with each say of validation images.

All networks are held against one trained with labels alone, image by image: differences between two networks
on the same images vary far less than the figures of either. Two things are compared:

    accuracy   what counts, but of few images coarse: on 50, one standard error is about 4 points
    log-loss   -log p(label), which also sees how nearly a network is right; each network's logits are first
               divided by the one temperature that is best on these images (Guo et al., 2017), so that one
               that is merely too sure of itself, as networks trained with labels are, does not lose by that

A loss is taken in place of labels only if it is better by more than noise, and never if it is worse by more
than a standard error in either.
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
    """A mean difference over images that two networks saw, and its standard error; both in the same unit."""

    mean: float
    error: float

    @classmethod
    def of(cls, differences: np.ndarray) -> "Difference":
        """Of differences [images]; of one image, whose spread is not known, the difference is the error."""
        mean, count = float(np.mean(differences)), len(differences)
        error = float(np.std(differences, ddof=1) / np.sqrt(count)) if count > 1 else abs(mean)
        return cls(mean, error)

    def exceeds(self, errors: float) -> bool:
        """Return whether it is above zero by more than so many standard errors."""
        return self.mean > errors * self.error * _ROUNDING

    def falls_below(self, errors: float) -> bool:
        """Return whether it is below zero by more than so many standard errors."""
        return self.mean < -errors * self.error * _ROUNDING


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a network is worth on validation images.

    Attributes:
        accuracy: share of the images it gets right.
        log_loss: mean of -log p(label) in nats, at its best temperature.
        temperature: that.
        accuracy_gain: accuracy above that of labels, a share.
        log_loss_gain: log-loss below that of labels, in nats.
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
        """Return whether it is more accurate than labels by more than noise."""
        return self.accuracy_gain.exceeds(CLEAR_ACCURACY)

    @property
    def is_better(self) -> bool:
        """Return whether it is better than labels by more than noise, as far as so many images tell."""
        if self.is_worse:
            return False
        nearly = not self.accuracy_gain.falls_below(MOST_LOST)
        return self.is_more_accurate or (nearly and self.log_loss_gain.exceeds(CLEAR_LOSS))


@dataclasses.dataclass(frozen=True)
class Decision:
    """The loss that is taken, why in words, and the `Figures` of each."""

    taken: str
    why: str
    figures: dict[str, Figures]


def decide(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> Decision:
    """Decide which loss to train with.

    Of the losses that are better than labels, the most accurate one is found; among those whose accuracy is
    within one standard error of its, image by image, the one with the lowest log-loss is taken. Where none is
    better, labels are.

    Args:
        logits: [images, classes] by loss, of a network trained with it; REFERENCE among them.
        labels: int [images], at least one.

    Returns:
        The `Decision`; equal input gives an equal one, and of losses that say the same the first is taken.
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
    """A difference of accuracies in words."""
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
    """-log softmax(logits / T)_label [images], and T > 0, which makes their mean least.

    The mean is convex in 1 / T, so the sign of its slope, mean(E_p[z] - z_label) with p = softmax(z / T),
    says on which side of a T the best one is.
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
