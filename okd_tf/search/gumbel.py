"""Differentiable search by samples: the bilevel step of `darts` with one path of the supernet at a time.

Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU Hours" (GDAS, CVPR 2019): a hard
Gumbel-softmax sample with a straight-through gradient, its temperature annealed linearly. A step costs only
the sampled operations, not all of them; in return, an alpha step learns about the sampled ones only.
"""

import tensorflow as tf

from okd_tf import seeds
from okd_tf.search import bilevel, cells


class GumbelSearch(bilevel.BilevelSearch):
    """The bilevel search on samples; `train_step` takes (training batch, validation batch)."""

    cell = cells.GumbelCell

    def __init__(self, *args, **kwargs):
        """Create the search model; arguments as for `SearchModel`."""
        super().__init__(*args, **kwargs)
        self._seed = seeds.derive(self.options.seed, "gumbel noise")

    def train_step(self, data):
        """Step the alphas, then the weights, each on a sample of its own; return the metrics so far."""
        training_batch, validation_batch = data
        # Of a layer that does not feed back, the alphas could not learn that it should: here all run.
        self.sample(phase=0, dead_run=True)
        self.alpha_step(validation_batch)
        self.sample(phase=1, dead_run=False)
        self.weight_step(training_batch)
        return self.get_metrics_result()

    def sample(self, phase, dead_run):
        """Draw a path and set it in the cells.

        Args:
            phase: index of the sample in this step.
            dead_run: whether layers without effect run all the same.
        """
        step = self.weight_optimizer.iterations
        hot, cold = self.options.temperatures
        temperature = hot + (cold - hot) * self.alphas.searched(step)
        noise = self._noise(tf.cast(tf.convert_to_tensor(step), tf.int32) * 2 + phase)
        for index, cell in enumerate(self.supernet.cells):
            cell.temperature.assign(temperature)
            cell.noise.assign(noise[index])
        read = tf.constant(False)
        for cell in reversed(self.supernet.cells):
            _, chain, feed_back = cell.sample()
            alive = (feed_back > 0.5) | read
            cell.alive.assign(tf.cast(alive | dead_run, tf.int32))
            read = alive & (chain > 0.5)

    def alpha_step(self, batch):
        """Update alpha <- alpha - rate * Adam(straight-through gradient of L_val + budget term)."""
        gradients, loss = self.alphas.gradients(self, batch)
        self.alphas.apply(gradients)
        self.objective.record(self.val_loss_metric, batch, loss)

    def scalars(self):
        """Return the learning rates and the temperature."""
        temperature = float(tf.convert_to_tensor(self.supernet.cells[0].temperature))
        return {**super().scalars(), "gumbel/temperature": temperature}

    def _noise(self, number):
        """Return Gumbel noise for the operations, logistic noise for the two gates: [layers, ops + 2]."""
        shape = [len(self.supernet.cells), len(self.space.ops) + 2]
        # The same on every replica: all must run one path.
        uniform = tf.random.stateless_uniform(shape, [self._seed, number], minval=1e-6, maxval=1.0 - 1e-6)
        return tf.concat(
            [-tf.math.log(-tf.math.log(uniform[:, :-2])), tf.math.log(uniform / (1.0 - uniform))[:, -2:]], 1
        )
