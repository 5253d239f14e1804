"""Differentiable search: alphas learn on validation batches, weights on training batches, in turn.

Liu, Simonyan, Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019). First order takes the weights as
they are; second order looks one step of the weights ahead. What is found is not DARTS's argmax but the most
probable architecture that fits the budget, see `derive`.
"""

from okd_tf.search import bilevel, cells, unrolled


class DartsSearch(bilevel.BilevelSearch):
    """The bilevel search; `train_step` takes (training batch, validation batch)."""

    cell = cells.MixedCell

    def __init__(self, *args, precise=None, **kwargs):
        """Takes what `SearchModel` takes, and for the second order in less than float32 a twin in float32.

        The twin is a `Supernet` of which the structure alone is used: it is called with the other's weights.
        """
        super().__init__(*args, **kwargs)
        # Not the twin itself: its variables would count as those of this model.
        self.precise = lambda: (precise or self.supernet).network
        if precise and self.gentle:
            self.gentle.freeze(precise.network)

    def train_step(self, data):
        """One step of the alphas on the validation batch, then one of the weights on the training batch."""
        training_batch, validation_batch = data
        self.sharpen()
        self.alpha_step(training_batch, validation_batch)
        self.weight_step(training_batch)
        return self.get_metrics_result()

    def sharpen(self):
        """Makes the mixture more discrete step by step, from plain after the warm-up to `sharpness` at last.

        The weights then learn in networks ever closer to the one that is kept (annealing as in Xie et al.,
        "SNAS", 2019), in place of losing the other operations' outputs all at once when it is derived.
        """
        sharpness = self.options.sharpness ** self.alphas.searched(self.weight_optimizer.iterations)
        for cell in self.supernet.cells:
            cell.sharpness.assign(sharpness)

    def alpha_step(self, training_batch, validation_batch):
        """Alpha <- alpha - rate * Adam(grad_alpha [L_val + budget term]), of first or second order."""
        if self.options.unrolled:
            gradients, loss = unrolled.alpha_gradients(self, training_batch, validation_batch)
        else:
            gradients, loss = self.alphas.gradients(self, validation_batch)
        self.alphas.apply(gradients)
        self.objective.record(self.val_loss_metric, validation_batch, loss)
