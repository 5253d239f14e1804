"""Architecture parameters (alphas): their expected cost, their optimizer, and the architectures they favour.

An alpha is one number of a search cell, whose `probabilities()` are softmax and sigmoid of its alphas. They
have an optimizer of their own and are in no other.
"""

import keras
import numpy as np
import tensorflow as tf

from okd_tf.ops import ordered
from okd_tf.search import derive
from okd_tf.training import optimizers


def expected_cost(search_space, distributions):
    """Return the expected (params, flops) of the add-on layers, differentiable in the distributions.

    A layer is alive if it feeds back or an alive next layer chains to it; gates are taken as independent.

    Args:
        search_space: the space.
        distributions: per layer the probabilities of the operations [ops], of chain [], of feed back [].
    """
    of_layers = []
    for alive, (operations, _, _), costs in zip(
        alive_probabilities(distributions), distributions, search_space.op_costs, strict=True
    ):
        table = tf.constant([[cost.params, cost.flops] for cost in costs], tf.float32)
        of_layers.append(alive * tf.linalg.matvec(table, operations, transpose_a=True))
    return tf.unstack(tf.reduce_sum(tf.stack(of_layers), axis=0))


def alive_probabilities(distributions):
    """Return per layer the probability that it feeds back or is read by an alive next layer."""
    alive = []
    read = tf.zeros([])
    for _, chain, feed_back in reversed(distributions):
        alive.append(feed_back + (1.0 - feed_back) * read)
        read = alive[-1] * chain
    return alive[::-1]


def overrun(search_space, budget, distributions):
    """Return the relative excess of the expected cost over the budget left by the backbone, at least 0.

    The excesses of parameters and FLOPs are added; a cost without a limit has none.
    """
    params, flops = expected_cost(search_space, distributions)
    excesses = [tf.zeros([])]
    for expected, limit, backbone in (
        (params, budget.max_params, search_space.base.params),
        (flops, budget.max_flops, search_space.base.flops),
    ):
        if limit:
            excesses.append(tf.nn.relu(expected / max(1.0, float(limit - backbone)) - 1.0))
    return tf.reduce_sum(tf.stack(excesses))


class Alphas:
    """The alphas of a supernet, and Adam for them."""

    def __init__(self, supernet, search_space, budget, options):
        """Create the optimizer of a supernet's alphas.

        Args:
            supernet: a `Supernet` whose cells have alphas.
            search_space: its space.
            budget: the `Budget` of the search.
            options: a `SearchOptions`.
        """
        self._supernet = supernet
        self._space = search_space
        self._budget = budget
        self._options = options
        self.variables = supernet.alphas()
        # A rate of zero while only the weights learn; a boundary is the last step of what is before it.
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [options.warmup_steps - 1],
            [0.0 if options.warmup_steps else options.alpha_learning_rate, options.alpha_learning_rate],
        )
        adam = keras.optimizers.Adam(rate, beta_1=0.5, name="alphas")
        self.optimizer = optimizers.scaling(adam, options.compute)
        self.optimizer.build(self.variables)

    def apply(self, gradients):
        """Make one step of Adam on the loss, the budget term and the alphas' own L2.

        Args:
            gradients: gradients of this replica's share of the loss, one an alpha; without the scale of the
                loss.
        """
        values = [alpha.value for alpha in self.variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            term = self._options.budget_weight * overrun(self._space, self._budget, self._probabilities())
        by_budget = tape.gradient(term, values, unconnected_gradients="zero")
        decay = self._options.alpha_weight_decay

        def beside(gradients):
            return [
                ordered.total([by_loss, by_term, decay * tf.convert_to_tensor(alpha)])
                for by_loss, by_term, alpha in zip(gradients, by_budget, self.variables, strict=True)
            ]

        optimizers.apply(self.optimizer, gradients, self.variables, beside=beside)

    def gradients(self, model, batch):
        """Return the alphas' gradients of the loss on a batch, at the current weights.

        Args:
            model: a `SearchModel`.
            batch: a batch of validation examples.

        Returns:
            The gradients of this replica's share of the loss, one an alpha, and that share.
        """
        teacher_logits = model.objective.teacher_logits(batch)
        values = [alpha.value for alpha in self.variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits = model.network(batch["image"], training=True)
            loss = model.objective(batch, logits, teacher_logits)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, values, unconnected_gradients="zero")
        return optimizers.unscaled(self.optimizer, gradients), loss

    def searched(self, step):
        """Return the fraction of the search after the warm-up done before a step: float32 [] in [0, 1]."""
        warmup = self._options.warmup_steps
        step = tf.cast(tf.convert_to_tensor(step), tf.float32)
        return tf.clip_by_value((step - warmup) / max(1, self._options.steps - warmup), 0.0, 1.0)

    def distributions(self):
        """Return per layer, as NumPy arrays, the probabilities of the operations [ops], chain, feed back."""
        return [
            tuple(np.asarray(part, np.float64) for part in probabilities)
            for probabilities in self._probabilities()
        ]

    def most_probable(self, count):
        """Return the `count` most probable architectures within the budget, by `derive.most_probable`."""
        return derive.most_probable(self._space, self.distributions(), self._budget, count)

    def narrow(self, budget):
        """Set the budget for all later proposals."""
        self._budget = budget

    def front(self, count):
        """Return up to `count` architectures from `derive.front`."""
        return derive.front(self._space, self.distributions(), self._budget, count)

    def scalars(self):
        """Return the numbers to record of the optimizer: learning rate and loss scale."""
        return {
            "alpha/learning_rate": float(self.optimizer.learning_rate),
            **optimizers.scalars(self.optimizer, "alpha"),
        }

    def _probabilities(self):
        return [cell.probabilities() for cell in self._supernet.cells]
