"""Differentiable search: alphas learn on validation batches, weights on training batches, in turn.

Liu, Simonyan, Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019), first order: the alpha step
takes the weights as they are. What is found is not DARTS's argmax but the most probable architecture that
fits the budget, see `derive`.
"""

import keras
import numpy as np
import tensorflow as tf

from okd_tf.search import base, derive, supernet


class DartsSearch(base.SearchModel):
    """The bilevel search; `train_step` takes (training batch, validation batch)."""

    cell = supernet.MixedCell
    bilevel = True

    def __init__(self, *args, **kwargs):
        """Takes what `SearchModel` takes."""
        super().__init__(*args, **kwargs)
        options = self.options
        # A rate of zero while only the weights learn; a boundary is the last step of what is before it.
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [options.warmup_steps - 1],
            [0.0 if options.warmup_steps else options.alpha_learning_rate, options.alpha_learning_rate],
        )
        self.alpha_optimizer = keras.optimizers.Adam(rate, beta_1=0.5)
        self.alpha_optimizer.build(self.supernet.alphas())
        self.val_loss_metric = keras.metrics.Mean("alpha_loss")

    def train_step(self, data):
        """One step of the alphas on the validation batch, then one of the weights on the training batch."""
        training_batch, validation_batch = data
        self.sharpen()
        self.alpha_step(validation_batch)
        self.weight_step(training_batch)
        return self.get_metrics_result()

    def sharpen(self):
        """Makes the mixture more discrete step by step, from plain after the warm-up to `sharpness` at last.

        The weights then learn in networks ever closer to the one that is kept (annealing as in Xie et al.,
        "SNAS", 2019), in place of losing the other operations' outputs all at once when it is derived.
        """
        options = self.options
        step = tf.cast(tf.convert_to_tensor(self.weight_optimizer.iterations), tf.float32)
        searching = max(1, options.steps - options.warmup_steps)
        done = tf.clip_by_value((step - options.warmup_steps) / searching, 0.0, 1.0)
        for cell in self.supernet.cells:
            cell.sharpness.assign(options.sharpness**done)

    def alpha_step(self, batch):
        """Alpha <- alpha - rate * Adam(grad_alpha [L_val(w, alpha) + budget term]); first order."""
        teacher_logits = self.objective.teacher_logits(batch)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        alphas = self.supernet.alphas()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([alpha.value for alpha in alphas])
            logits = self.network(batch["image"], training=True)
            loss = self.objective(batch["label"], logits, teacher_logits)
            total = loss + self.options.budget_weight * self.overrun() / replicas
        gradients = tape.gradient(total, [alpha.value for alpha in alphas], unconnected_gradients="zero")
        self.alpha_optimizer.apply(gradients, alphas)
        self.val_loss_metric.update_state(loss * replicas)

    def expected_cost(self):
        """(params, flops) that the add-on layers cost on average, differentiable in the alphas.

        A layer lives if it feeds back or a living next one chains to it; gates are taken as independent.
        """
        params = flops = tf.zeros([])
        read = tf.zeros([])
        for cell, costs in reversed(list(zip(self.supernet.cells, self.space.op_costs, strict=True))):
            operations, chain, feed_back = cell.probabilities()
            alive = feed_back + (1.0 - feed_back) * read
            params += alive * tf.reduce_sum(operations * [float(cost.params) for cost in costs])
            flops += alive * tf.reduce_sum(operations * [float(cost.flops) for cost in costs])
            read = alive * chain
        return params, flops

    def overrun(self):
        """By how much the expected cost exceeds what the budget leaves beside the backbone, as a ratio."""
        params, flops = self.expected_cost()
        total = tf.zeros([])
        for expected, limit, backbone in (
            (params, self.budget.max_params, self.space.base.params),
            (flops, self.budget.max_flops, self.space.base.flops),
        ):
            if limit:
                total += tf.nn.relu(expected / max(1.0, float(limit - backbone)) - 1.0)
        return total

    def propose(self, count, seed):
        """The `count` most probable architectures that fit; `seed` has no effect."""
        del seed
        distributions = [
            tuple(np.asarray(part, np.float64) for part in cell.probabilities())
            for cell in self.supernet.cells
        ]
        return derive.most_probable(self.space, distributions, self.budget, count)

    def optimizer_variables(self):
        """State that a checkpoint needs beside the model's own."""
        return [*super().optimizer_variables(), *self.alpha_optimizer.variables]

    def scalars(self):
        """Learning rates, expected parameters, and every probability of every add-on layer."""
        params, _ = self.expected_cost()
        record = {**super().scalars(), "expected_params": self.space.base.params + float(params)}
        record["alpha/learning_rate"] = float(self.alpha_optimizer.learning_rate)
        for index, cell in enumerate(self.supernet.cells):
            operations, chain, feed_back = cell.probabilities()
            for name, probability in zip(self.space.ops, operations.numpy(), strict=True):
                record[f"addon{index + 1}/{name}"] = float(probability)
            record[f"addon{index + 1}/chain"] = float(chain)
            record[f"addon{index + 1}/feed_back"] = float(feed_back)
        return record
