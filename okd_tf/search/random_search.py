"""Random search on shared weights: the baseline that every other strategy must beat.

Weights are trained on architectures drawn uniformly from those within the budget, one a step (the sampling of
Li and Talwalkar, "Random Search and Reproducibility for NAS", 2019); candidates are drawn the same way.
"""

import random

import numpy as np
import tensorflow as tf

from okd_tf import seeds
from okd_tf.arch import uniform
from okd_tf.search import base, cells, derive, expectation, supernet

# Architectures drawn before the training, which goes through them in turn: one a step, but not fewer or more.
LEAST_DRAWN, MOST_DRAWN = 512, 8192


class RandomSearch(base.SearchModel):
    """A search that trains one uniformly drawn path a step; `train_step` takes a training batch."""

    cell = cells.PathCell
    bilevel = False
    learns = False

    def __init__(self, *args, **kwargs):
        """Create the search model; arguments as for `SearchModel`.

        Raises:
            UserError: the bare backbone is over the budget.
        """
        super().__init__(*args, **kwargs)
        derive.check_budget(self.space.base, self.budget)
        self._sampler = uniform.UniformSampler(self.space, self.budget)
        generator = random.Random(seeds.derive(self.options.seed, "training paths"))
        count = min(max(self.options.steps, LEAST_DRAWN), MOST_DRAWN)
        architectures = [self._sampler.sample(generator) for _ in range(count)]
        self._drawn = np.array(
            [supernet.choices(self.space, architecture) for architecture in architectures], np.int32
        )
        self._expectation = expectation.of_samples(self.space, architectures)

    def train_step(self, data):
        """Make one step of the weights of one path."""
        step = tf.cast(tf.convert_to_tensor(self.weight_optimizer.iterations), tf.int32)
        rows = tf.gather(tf.constant(self._drawn), step % len(self._drawn))
        for index, cell in enumerate(self.supernet.cells):
            cell.choose(rows[index])
        self.weight_step(data)
        return self.get_metrics_result()

    def propose(self, count, seed):
        """Return up to `count` different architectures, drawn like those of the training."""
        return self._sampler.different(count, seeds.derive(seed, "candidates"))

    def narrow(self, budget):
        """Set a smaller budget; see `SearchModel`."""
        super().narrow(budget)
        self._sampler = uniform.UniformSampler(self.space, budget)

    def expectation(self):
        """Return the averages over the architectures drawn for the training."""
        return self._expectation
