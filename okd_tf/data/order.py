"""Orders of examples: which row of a split stands at which position of a training, and in which view.

An order is called with positions int64 [batch], counted from the start of a training, and gives rows int64
[batch] of the split and view numbers int64 [batch], not yet counted modulo the views in use. It is a pure
function: of a position nothing is needed that came before.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from okd_tf.data import permutation

Order = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Shuffled:
    """Every example once an epoch, in an order of that epoch's own; in epoch e all show view e."""

    def __init__(self, examples: int, epoch_positions: int, seed: int):
        """Takes how many examples there are, and how many of them an epoch shows; the order is the seed's."""
        self._last = examples - 1
        self._epoch_positions = epoch_positions
        self._seed = seed

    def __call__(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and views at these positions; see the module."""
        epochs, places = positions // self._epoch_positions, positions % self._epoch_positions
        return permutation.shuffled(places, self._last, epochs, self._seed), epochs


class Balanced:
    """Every class equally often: each once in any round, and within it each of its rows once in a cycle.

    Rounds of as many positions as there are classes follow each other, the classes in a seeded order of each
    round's own. Round r shows of a class with n rows the place r mod n of cycle r // n, whose order of the
    rows is seeded by class and cycle; it shows view r // n, so that a rare class comes back in other views.

    Classes without rows are none here.
    """

    def __init__(self, labels: np.ndarray, seed: int):
        """Takes labels int [examples] of the split; the order is the seed's."""
        classes, counts = np.unique(labels, return_counts=True)
        self._classes = len(classes)
        self._seed = seed
        rows = np.argsort(labels, kind="stable")
        with tf.init_scope(), tf.device("cpu"):
            # Of each class, where its rows begin in `rows`, and how many they are.
            self._firsts = tf.constant(np.cumsum(counts) - counts, tf.int64)
            self._counts = tf.constant(counts, tf.int64)
            self._rows = tf.constant(rows, tf.int64)

    def __call__(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and views at these positions; see the module."""
        number = tf.constant(self._classes, tf.int64)
        rounds, places = positions // number, positions % number
        classes = permutation.swapped(places, tf.fill(tf.shape(places), number), rounds, self._seed)
        counts = tf.gather(self._counts, classes)
        cycles = rounds // counts
        places = permutation.swapped(rounds % counts, counts, cycles * number + classes, self._seed + 1)
        return tf.gather(self._rows, tf.gather(self._firsts, classes) + places), cycles
