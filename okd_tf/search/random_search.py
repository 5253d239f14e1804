"""Random search on shared weights: the honest baseline that every other strategy must beat.

Weights are trained on architectures drawn uniformly from those within the budget, one a step (the sampling of
Li and Talwalkar, "Random Search and Reproducibility for NAS", 2019); candidates are drawn the same way.
"""

import random

import numpy as np
import tensorflow as tf

from okd_tf import seeds
from okd_tf.arch import uniform
from okd_tf.search import base, cells, derive, supernet

DRAWN = 512  # architectures drawn before the training, which goes through them in turn


class RandomSearch(base.SearchModel):
    """Trains one uniformly drawn path a step; `train_step` takes a training batch."""

    cell = cells.PathCell
    bilevel = False
    learns = False

    def __init__(self, *args, **kwargs):
        """Takes what `SearchModel` takes."""
        super().__init__(*args, **kwargs)
        derive.check_budget(self.space, self.budget)
        self._sampler = uniform.UniformSampler(self.space, self.budget)
        generator = random.Random(seeds.derive(self.options.seed, "training paths"))
        self._architectures = [self._sampler.sample(generator) for _ in range(DRAWN)]
        self._drawn = np.array(
            [supernet.choices(self.space, architecture) for architecture in self._architectures], np.int32
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
        """Up to `count` different architectures, drawn as those of the training are."""
        return self._sampler.different(count, seeds.derive(seed, "candidates"))

    def distributions(self):
        """How often each choice is among the architectures drawn for the training."""
        return derive.frequencies(self.space, self._architectures)
