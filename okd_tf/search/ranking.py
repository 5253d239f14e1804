"""Ranking candidates on the validation split with the supernet's shared weights."""

import numpy as np
import tensorflow as tf

from okd_tf.search import supernet
from okd_tf.training import inference

BATCH_NORM_EXAMPLES = 1024


class Ranker:
    """Evaluates architectures one by one as single paths of a trained supernet.

    A path's batch statistics differ from those of the mixture or of other paths, so for each candidate they
    are taken anew from one pass over training images.
    """

    def __init__(self, backbone, search_space, trained: supernet.Supernet, data):
        """Copies the shared weights of a trained supernet.

        Args:
            backbone: what the supernet was made around.
            search_space: its space.
            trained: the supernet.
            data: `Splits`; statistics are taken on its training images, figures on its validation images.
        """
        self._space = search_space
        self._supernet = supernet.make(backbone, search_space, supernet.PathCell)
        for mine, theirs in zip(self._supernet.shared(), trained.shared(), strict=True):
            mine.assign(theirs)
        for layer in self._supernet.batch_norms():
            layer.momentum = 0.0  # so that one pass in training mode leaves its own statistics
        spread = np.linspace(0, len(data.train) - 1, min(BATCH_NORM_EXAMPLES, len(data.train))).astype(int)
        self._pixels = tf.cast(data.train.images[spread], tf.float32)
        self._val = data.val
        self._pass = tf.function(lambda pixels: self._supernet.network(pixels, training=True))
        self._predictor = inference.Predictor(self._supernet.network)

    def evaluate(self, architecture):
        """{"accuracy", "loss"} of an architecture on the validation split."""
        rows = supernet.choices(self._space, architecture)
        for cell, row in zip(self._supernet.cells, rows, strict=True):
            cell.choose(row)
        self._pass(self._pixels)
        return self._predictor.evaluate(self._val)
