"""Random search on shared weights: the honest baseline that every other strategy must beat.

Weights are trained on architectures drawn uniformly from those within the budget, one a step (the sampling of
Li and Talwalkar, "Random Search and Reproducibility for NAS", 2019); candidates are drawn the same way. At a
step, the weights of operations that are not on the path have no gradient, but momentum and L2 go on.
"""

import random

import numpy as np
import tensorflow as tf

from okd_tf import seeds
from okd_tf.search import base, supernet

DRAWN = 2048  # architectures drawn before the training, which goes through them in turn


class RandomSearch(base.SearchModel):
    """Trains one uniformly drawn path a step; `train_step` takes a training batch."""

    cell = supernet.PathCell
    bilevel = False

    def __init__(self, *args, **kwargs):
        """Takes what `SearchModel` takes."""
        super().__init__(*args, **kwargs)
        generator = random.Random(seeds.derive(self.options.seed, "training paths"))
        self._drawn = np.array(
            [
                supernet.choices(self.space, self.space.sample_within(generator, self.budget))
                for _ in range(DRAWN)
            ],
            np.int32,
        )

    def train_step(self, data):
        """One step of the weights of one path."""
        step = tf.cast(tf.convert_to_tensor(self.weight_optimizer.iterations), tf.int32)
        rows = tf.gather(tf.constant(self._drawn), step % DRAWN)
        for index, cell in enumerate(self.supernet.cells):
            cell.choose(rows[index])
        self.weight_step(data)
        return self.get_metrics_result()

    def propose(self, count, seed):
        """Up to `count` different architectures, drawn uniformly from those that fit the budget."""
        generator = random.Random(seeds.derive(seed, "candidates"))
        drawn = (self.space.sample_within(generator, self.budget) for _ in range(50 * count))
        return list(dict.fromkeys(drawn))[:count]
