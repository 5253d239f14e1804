"""Test for a teacher that has memorised the images it is measured on, by its accuracies.

That a teacher is as right on carved images as on training images proves nothing: so is one that saw all of
them, and one that overfits nothing. Only images that it cannot have seen, those of a split that the dataset
came with, tell the two apart: a teacher that is far better on carved images than on these, and as good as on
those that it trained on, remembers the carved ones (or the given ones are harder: accuracy cannot tell).
"""

import math

from scipy import special

LEAST_GAP = 0.02  # accuracy above that on given images, below which memory matters little
P = 0.001  # how rarely chance alone may make such a difference

Score = tuple[float, int]  # accuracy, and of how many images


def remembers(train: Score, carved: Score, given: Score | None) -> bool:
    """Return whether carved images are known as well as training images, and far better than given ones.

    Args:
        train: on the images that the run trains on.
        carved: on those carved from the same part of the dataset.
        given: on those of a split that came with the dataset; None if there is none, so that nothing tells.
    """
    if given is None or carved[0] - given[0] < LEAST_GAP:
        return False
    return is_higher(carved, given) and not is_higher(train, carved)


def is_higher(one: Score, other: Score) -> bool:
    """Return whether an accuracy is higher than another by more than chance: a pooled test of two shares.

    Where all images are right, or none, there is no difference and none is found.
    """
    (share, count), (other_share, other_count) = one, other
    pooled = (share * count + other_share * other_count) / (count + other_count)
    error = math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / other_count))
    return error > 0 and float(special.ndtr(-(share - other_share) / error)) < P
