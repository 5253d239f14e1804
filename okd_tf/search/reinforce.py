"""Search by reinforcement: a controller samples networks and learns from their results with shared weights.

The paper's optimiser, on shared weights as in Pham et al., "Efficient Neural Architecture Search via
Parameter Sharing" (ENAS, ICML 2018): within an epoch, each step trains one network sampled from the
controller; after it, the controller is updated several times, each time by REINFORCE over several sampled
networks, rewarded on a validation batch. ENAS makes 50 updates of 20 networks; the defaults for CPUs are
lower.

The reward is the accuracy, or 1 / (1 + search loss), times a memory term for each bounded cost,
min(1, bound / cost)^budget_weight. The paper's memory term is not public; this is our reading, in the form of
Tan et al., "MnasNet" (CVPR 2019).
"""

import collections
import random

import keras
import numpy as np
import tensorflow as tf

from okd_tf import seeds
from okd_tf.losses import mixed_labels
from okd_tf.search import base, cells, controller, derive, expectation, supernet
from okd_tf.training import loop

POOL = 512  # networks written after each epoch, which the next one's steps go through in turn
BASELINE_DECAY = 0.9
OBSERVED = 256  # networks written to see what the controller would choose
REWARDS = {"accuracy": lambda accuracy, loss: accuracy, "loss": lambda accuracy, loss: 1.0 / (1.0 + loss)}


class ReinforceSearch(base.SearchModel):
    """A search that trains one path sampled from a controller a step; `train_step` takes a training batch."""

    cell = cells.PathCell
    bilevel = False
    learns = True

    def __init__(self, *args, **kwargs):
        """Create the search model; arguments as for `SearchModel`.

        Raises:
            UserError: the bare backbone is over the budget.
        """
        super().__init__(*args, **kwargs)
        derive.check_budget(self.space.base, self.budget)
        self.controller = controller.Controller(len(self.space.ops), self.space.chainable, name="controller")
        self.controller.build()
        self.controller_optimizer = keras.optimizers.Adam(
            self.options.controller_learning_rate, name="controller"
        )
        self.controller_optimizer.build(self.controller.trainable_variables)
        self._pool = self._state((POOL, self.space.layers, 4), "int32", "pool")
        self._updates = self._state((), "int32", "updates")
        self._baseline = self._state((), "float32", "baseline")
        self._write = tf.function(self.controller.sample, jit_compile=False, autograph=False)
        self._score = tf.function(self.controller.score, jit_compile=False, autograph=False)
        self._policy_gradients = tf.function(
            self._gradients_of_the_policy, jit_compile=False, autograph=False
        )
        self._traced_figures = None
        self._fill_pool()

    def train_step(self, data):
        """Make one step of the weights of one path."""
        step = tf.cast(tf.convert_to_tensor(self.weight_optimizer.iterations), tf.int32)
        rows = tf.convert_to_tensor(self._pool)[step % POOL]
        for index, cell in enumerate(self.supernet.cells):
            cell.choose(rows[index])
        self.weight_step(data)
        return self.get_metrics_result()

    def end_epoch(self, validation, strategy):
        """Update the controller; in the warm-up only measure its rewards. See `SearchModel`."""
        learning = _number(self.weight_optimizer.iterations) >= self.options.warmup_steps
        count = self.options.controller_updates if learning else 1
        first = _number(self._updates)
        batches = iter(loop.distribute(validation, first, first + count, strategy))
        means, entropies = [], []
        for number in range(first, first + count):
            choices = self.write(self.options.controller_children, "children", number)
            rewards = self.rewards(choices, next(batches), strategy)
            if learning:
                self.update(choices, rewards)
            means.append(np.mean(rewards))
            entropies.append(self.entropy(choices))
        record = {
            "reward": float(np.mean(means)),
            "controller/entropy": float(np.mean(entropies)),
            "controller/baseline": _number(self._baseline),
            "controller/updates": count,
        }
        self._fill_pool()
        return record

    def write(self, count, *purpose):
        """Return `count` sampled choices, int [count, layers, 3]; the seed is derived from the purpose."""
        seed = [seeds.derive(self.options.seed, "controller", *purpose), 0]
        return self._write(count, tf.constant(seed)).numpy()

    def rewards(self, choices, batch, strategy):
        """Return the rewards of networks on a validation batch: float32 [networks].

        Args:
            choices: int [networks, layers, 3].
            batch: a batch from `loop.distribute`.
            strategy: the tf.distribute.Strategy of the search.
        """
        found = []
        for architecture in map(_architecture, choices):
            self._choose(supernet.choices(self.space, architecture))
            accuracy, loss = (float(figure) for figure in self._figures(strategy)(batch))
            reward = REWARDS[self.options.reward](accuracy, loss) * self.memory_term(architecture)
            found.append(reward if np.isfinite(reward) else 0.0)
        return np.array(found, np.float32)

    def memory_term(self, architecture):
        """Return the product over bounded costs of min(1, bound / cost)^budget_weight."""
        cost = self.space.cost(architecture)
        term = 1.0
        for bound, own in ((self.budget.max_params, cost.params), (self.budget.max_flops, cost.flops)):
            if bound:
                term *= min(1.0, bound / own) ** self.options.budget_weight
        return term

    def update(self, choices, rewards):
        """Make one REINFORCE step of the controller.

        The gradient is that of -mean((reward - baseline) log p) - controller_entropy * mean(entropy); the
        baseline is the moving average of the mean rewards before.
        """
        mean = float(np.mean(rewards))
        baseline = _number(self._baseline) if _number(self._updates) else mean
        advantages = (rewards - baseline).astype(np.float32)
        gradients = self._policy_gradients(tf.constant(choices), tf.constant(advantages))
        self.controller_optimizer.apply(gradients, self.controller.trainable_variables)
        self._baseline.assign(BASELINE_DECAY * baseline + (1.0 - BASELINE_DECAY) * mean)
        self._updates.assign(_number(self._updates) + 1)

    def entropy(self, choices):
        """Return the mean over these networks of the summed entropies of their decisions, in nats."""
        return float(tf.reduce_mean(tf.reduce_sum(self._score(tf.constant(choices))[1], axis=(1, 2))))

    def propose(self, count, seed):
        """Return up to `count` different architectures that fit, sampled from the controller, by probability.

        The probability of an architecture is the sum over all its samples: decisions on dead layers make no
        difference. If too few samples fit, layers are removed at random from others until they do.
        """
        written = np.unique(
            np.concatenate(
                [self.controller.most_probable().numpy(), self.write(64 * count, "candidates", seed)]
            ),
            axis=0,
        )
        scores = self.controller.score(written)[0].numpy().astype(np.float64).sum(axis=(1, 2))
        probabilities = collections.defaultdict(float)
        for row, score in zip(written, scores, strict=True):
            probabilities[self.space.canonical(_architecture(row))] += np.exp(score)
        ordered = sorted(probabilities, key=lambda architecture: -probabilities[architecture])
        found = [
            architecture for architecture in ordered if self.budget.admits(self.space.cost(architecture))
        ]
        generator = random.Random(seeds.derive(seed, "thinned candidates"))
        for architecture in ordered:
            if len(found) >= count:
                break
            thinned = self.space.thinned(architecture, generator, self.budget)
            found.extend([thinned] if thinned not in found else [])
        return found[:count]

    def expectation(self):
        """Return the averages over networks sampled from the controller now."""
        written = [_architecture(row) for row in self.write(OBSERVED, "observed")]
        return expectation.of_samples(self.space, written)

    def optimizer_variables(self):
        """Return the variables a checkpoint needs in addition to the model's own: the optimizers'."""
        return [*super().optimizer_variables(), *self.controller_optimizer.variables]

    def _state(self, shape, dtype, name):
        return self.add_weight(
            shape, "zeros", dtype, trainable=False, aggregation="only_first_replica", name=name
        )

    def _fill_pool(self):
        written = self.write(POOL, "training paths", _number(self.weight_optimizer.iterations))
        rows = [supernet.choices(self.space, _architecture(row)) for row in written]
        self._pool.assign(np.array(rows, np.int32))

    def _choose(self, rows):
        for cell, row in zip(self.supernet.cells, rows, strict=True):
            cell.choose(row)

    def _gradients_of_the_policy(self, choices, advantages):
        with tf.GradientTape() as tape:
            log_probabilities, entropies = self.controller.score(choices)
            log_probability = tf.reduce_sum(log_probabilities, axis=(1, 2))
            entropy = tf.reduce_mean(tf.reduce_sum(entropies, axis=(1, 2)))
            loss = -tf.reduce_mean(advantages * log_probability) - self.options.controller_entropy * entropy
        # Where no layer can chain, what decides that has no gradient.
        weights = [weight.value for weight in self.controller.trainable_variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _figures(self, strategy):
        """Return a function batch -> (accuracy, loss) of the chosen network; traced once."""
        if self._traced_figures is None:

            def replica(batch):
                logits = self.network(batch["image"], training=True)
                loss = self.objective(batch, logits, self.objective.teacher_logits(batch))
                right = mixed_labels.agreement(mixed_labels.from_batch(batch), tf.argmax(logits, axis=-1))
                # Classes count in the reward as in the loss.
                share = tf.reduce_mean(right * batch.get("weight", 1.0))
                return share / tf.distribute.get_strategy().num_replicas_in_sync, loss

            def figures(batch):
                results = strategy.run(replica, args=(batch,))
                return [strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in results]

            self._traced_figures = tf.function(figures, jit_compile=False, autograph=False)
        return self._traced_figures


def _architecture(choices):
    """Return choices, integers [layers, 3], as an architecture of a `SearchSpace`."""
    return tuple(tuple(int(part) for part in choice) for choice in choices)


def _number(variable):
    """Return the value of a scalar variable, which may be a distributed one."""
    return tf.convert_to_tensor(variable).numpy().item()
