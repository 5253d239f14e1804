"""Teachers to doubt, by what they say of labelled images: no better than chance, or of another class order.

Both are what a wrong scale of pixels or classes in another order look like from outside; a weak teacher is
neither.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, special

CHANCE_P = 0.01  # how rarely luck alone may get so many right as to be taken for knowledge
ORDER_P = 0.001  # how rarely luck alone may favour another order so much
# How far another order must lead, as a share of the images; and what it must get right of those that naming
# the most frequent class does not, in classes' worth and at most as a share. Networks that know nothing yet
# tell some groups of images apart, and so favour other orders too: on digits, of dozens untrained or nearly
# so, some led by 0.13, and none had more than 1.5 classes' worth.
ORDER_GAIN = 0.1
ORDER_CLASSES = 2
ORDER_SHARE = 0.5
FOLDS = 5


def doubts(
    logits: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] = (),
    mend: Callable[[int, bool], str] = lambda index, doubted: "",
) -> list[str]:
    """A sentence for each teacher that there is reason to doubt, or one alone if so few images cannot say.

    Args:
        logits: [teachers, examples, classes].
        labels: int [examples]; of validation, since whether a teacher is used may be decided by it.
        names: what they are called in it; without, "teacher 1" and so on.
        mend: (index of a teacher, whether its answers alone give reason to doubt it) -> what would mend it,
            as the end of a sentence; "" if that is not known. It is asked of every teacher: one that is shown
            channels in the wrong order may be far better than chance, and far worse than it could be.
    """
    if luck(labels, labels) ** len(labels) > CHANCE_P:
        return [
            f"{len(labels):,} validation images are too few, or too many of one class, to tell what teachers "
            "know from luck; raise --val_examples or add images"
        ]
    found = []
    for index, own in enumerate(logits):
        predictions = np.argmax(own, axis=-1)
        accuracy = float(np.mean(predictions == labels))
        called = names[index] if names else f"teacher {index + 1}"
        known = f"{called} is right on {_percent(accuracy)} of the validation images"
        reordered = in_another_order(predictions, labels, own.shape[-1])
        doubted = bool(reordered) or at_chance(predictions, labels)
        mended = mend(index, doubted)
        if mended:
            found.append(f"{known}; {mended}: declare that")
        elif not doubted:
            continue
        elif reordered:
            found.append(
                f"{known}, and on {_percent(reordered)} with its outputs in another order: its classes seem "
                "to be in another order than the dataset's; declare class_names in its manifest (NAME.json "
                "beside it)"
            )
        else:
            found.append(
                f"{known}, no better than its answers dealt out at random "
                f"({_percent(luck(predictions, labels))}); does it take pixels 0..255, and have these "
                "classes in this order?"
            )
    return found


def at_chance(predictions: np.ndarray, labels: np.ndarray) -> bool:
    """Whether so many right could well be luck: a binomial test against `luck`.

    predictions, labels int [examples].
    """
    return _tail(int(np.sum(predictions == labels)), len(labels), luck(predictions, labels)) > CHANCE_P


def luck(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The accuracy to expect of predictions dealt out to the images at random: sum_c p_c q_c.

    p_c is the share of class c among the predictions, q_c that among the labels (the expected agreement of
    Cohen, 1960). Who always names one class is right that often. Who learnt of classes of unequal size as
    of equal ones, as --balance has them, may well be right less often than the largest class is there, and
    knows them all the same.

    predictions, labels int [examples].
    """
    classes = int(max(predictions.max(), labels.max())) + 1
    named, there = (np.bincount(each, minlength=classes) for each in (predictions, labels))
    return int(named @ there) / len(labels) ** 2


def in_another_order(predictions: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The accuracy with the outputs in the order that suits them best, if that is far above their own; or 0.

    An order fitted to few examples overfits, so on each fifth of them the one fitted to the others counts,
    and the lead over the given order must pass a sign test on the examples that the two decide differently.

    predictions, labels int [examples].
    """
    # In turn within each class, so that every fold has of all.
    fold = np.empty(len(labels), int)
    fold[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    renamed = np.empty_like(predictions)
    for one in range(FOLDS):
        order = best_order(predictions[fold != one], labels[fold != one], classes)
        renamed[fold == one] = order[predictions[fold == one]]
    before, after = predictions == labels, renamed == labels
    accuracy, frequent = float(after.mean()), float(np.bincount(labels).max() / len(labels))
    least = frequent + (1 - frequent) * min(ORDER_SHARE, ORDER_CLASSES / classes)
    return accuracy if accuracy >= least and far_better(before, after) else 0.0


def far_better(before: np.ndarray, after: np.ndarray) -> bool:
    """Return whether accuracy rises by at least ORDER_GAIN, and significantly so.

    The test is a sign test over the examples that are right only before or only after.

    Args:
        before: bool [examples], which predictions were right.
        after: likewise, with the change.
    """
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    far = gained - lost >= ORDER_GAIN * len(before)
    return far and _tail(gained, gained + lost, 0.5) < ORDER_P


def best_order(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The one-to-one assignment [classes] of outputs to classes that gets most right; ties keep their place.

    predictions, labels int [examples].
    """
    together = np.zeros((classes, classes))
    np.add.at(together, (predictions, labels), 1)
    # Less than one example for all outputs together.
    together += np.eye(classes) / (classes + 1)
    return optimize.linear_sum_assignment(together, maximize=True)[1]


def _tail(right: int, trials: int, share: float) -> float:
    """The probability of `right` or more of so many trials."""
    return float(special.betainc(right, trials - right + 1, share)) if right else 1.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
