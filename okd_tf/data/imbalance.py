"""Classes of unequal size: nothing is done, or their losses are weighted, or they come equally often.

How they come equally often says `order.Balanced`.
"""

import numpy as np

WEIGHTS, SAMPLING = "weights", "sampling"
BALANCES = ("none", WEIGHTS, SAMPLING)


def class_weights(balance: str, labels: np.ndarray) -> np.ndarray | None:
    """What each class's losses are multiplied by, float32 [classes]; None unless `balance` is "weights".

        w_c = n / (k n_c),    n examples, n_c of them of class c, k classes that have any,

    so that the mean weight of the examples is 1, and all classes weigh the same together. A class without
    examples has the weight 0; classes after the last label have none.

    Args:
        balance: of BALANCES.
        labels: int [examples] of the examples that are trained on.
    """
    if balance != WEIGHTS:
        return None
    counts = np.bincount(labels)
    present = np.count_nonzero(counts)
    return np.where(counts, len(labels) / (present * np.maximum(counts, 1)), 0).astype(np.float32)
