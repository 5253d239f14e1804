"""Random search on shared weights: the honest baseline that every other strategy must beat.

Weights are trained on architectures drawn uniformly from those within the budget, one a step (the sampling of
Li and Talwalkar, "Random Search and Reproducibility for NAS", 2019); candidates are drawn the same way.
"""

import random

import numpy as np
import tensorflow as tf

from okd_tf import seeds
from okd_tf.search import base, derive, supernet

DRAWN = 512  # architectures drawn before the training, which goes through them in turn
ATTEMPTS = 8192  # uniform samples taken in all to find those that fit


class RandomSearch(base.SearchModel):
    """Trains one uniformly drawn path a step; `train_step` takes a training batch."""

    cell = supernet.PathCell
    bilevel = False

    def __init__(self, *args, **kwargs):
        """Takes what `SearchModel` takes."""
        super().__init__(*args, **kwargs)
        drawn = self._draw(DRAWN, random.Random(seeds.derive(self.options.seed, "training paths")))
        self._drawn = np.array(
            [supernet.choices(self.space, architecture) for architecture in drawn], np.int32
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
        drawn = self._draw(16 * count, random.Random(seeds.derive(seed, "candidates")))
        return list(dict.fromkeys(drawn))[:count]

    def decay_factors(self):
        """1 for the backbone and for the operations on the path, 0 for the others: they rest."""
        factors = {}
        for cell in self.supernet.cells:
            running = cell.running()
            for index, candidate in enumerate(cell.candidates):
                factors |= {id(weight): running[index] for weight in candidate.trainable_variables}
        return [factors.get(id(weight), 1.0) for weight in self.supernet.weights()]

    def _draw(self, count, generator):
        """So many architectures within the budget.

        Uniform over those that fit, as long as ATTEMPTS uniform samples hold so many that do. Under a budget
        tighter than that, the others are samples that lost random living layers until they fitted.
        """
        derive.check_budget(self.space, self.budget)
        fitting = []
        for _ in range(ATTEMPTS):
            architecture = self.space.sample(generator)
            if self.budget.admits(self.space.cost(architecture)):
                fitting.append(architecture)
            if len(fitting) == count:
                return fitting
        missing = count - len(fitting)
        return fitting + [
            self.space.sample_within(generator, self.budget, attempts=1) for _ in range(missing)
        ]
