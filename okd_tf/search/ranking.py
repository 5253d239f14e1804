"""Ranking of candidates on validation images with the supernet's shared weights."""

import functools

import numpy as np
import tensorflow as tf

from okd_tf.search import cells, supernet
from okd_tf.training import inference

BATCH_NORM_EXAMPLES = 1024


class Ranker:
    """Evaluation of architectures, one by one, as single paths of a supernet.

    A path's batch statistics differ from those of the mixture or of other paths, so each candidate's are
    recomputed in one pass over training images.
    """

    def __init__(self, backbone, search_space, trained: supernet.Supernet, data):
        """Create the ranker of a supernet, whose shared weights are read at each evaluation.

        Args:
            backbone: the backbone of the supernet.
            search_space: its space.
            trained: the supernet.
            data: `Splits`; statistics are taken on its training images, figures on its validation images.
        """
        self._space = search_space
        self._trained = trained
        self._supernet = supernet.make(backbone, search_space, cells.PathCell)
        for layer in self._supernet.batch_norms():
            layer.momentum = 0.0  # so that one pass in training mode leaves its own statistics
        spread = _spread(len(data.train), BATCH_NORM_EXAMPLES)
        self._pixels = tf.cast(data.train.images[spread], tf.float32)
        self._val = data.val

    def evaluate(self, architecture, examples=None):
        """Return {"accuracy", "loss"} of an architecture on validation images.

        `examples` is the number of images, evenly spread over the split; None is all.
        """
        for mine, theirs in zip(self._supernet.shared(), self._trained.shared(), strict=True):
            mine.assign(theirs)
        rows = supernet.choices(self._space, architecture)
        for cell, row in zip(self._supernet.cells, rows, strict=True):
            cell.choose(row)
        self._pass(self._pixels)
        val = self._val if examples is None else self._val.take(_spread(len(self._val), examples))
        return self._predictor.evaluate(val)

    @functools.cached_property
    def _pass(self):
        def forward(pixels):
            return self._supernet.network(pixels, training=True)

        return tf.function(forward, jit_compile=False, autograph=False)

    @functools.cached_property
    def _predictor(self):
        return inference.Predictor(self._supernet.network)


def _spread(total, wanted):
    """Return the indices of `wanted` evenly spread rows, or of all if there are fewer."""
    return np.linspace(0, total - 1, min(wanted, total)).astype(int)
