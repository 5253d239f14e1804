"""Differentiable search: alphas learn on validation batches, weights on training batches, in turn.

Liu, Simonyan, Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019). First order takes the weights as
they are; second order looks one step of the weights ahead. The result is not DARTS's argmax but the most
probable architecture that fits the budget, see `derive`.
"""

from okd_tf.search import bilevel, cells, unrolled


class DartsSearch(bilevel.BilevelSearch):
    """The bilevel search; `train_step` takes (training batch, validation batch)."""

    cell = cells.MixedCell

    def __init__(self, *args, precise=None, **kwargs):
        """Create the search model.

        Args:
            *args: arguments of `SearchModel`.
            precise: for the second order below float32, a twin `Supernet` in float32. Only its structure is
                used: it is called with the weights of the search's own supernet.
            **kwargs: arguments of `SearchModel`.
        """
        super().__init__(*args, **kwargs)
        # Not the twin itself: its variables would count as those of this model.
        self.precise = lambda: (precise or self.supernet).network
        if precise and self.gentle:
            self.gentle.freeze(precise.network)

    def train_step(self, data):
        """Step the alphas on the validation batch, then the weights; return the metrics so far."""
        training_batch, validation_batch = data
        self.sharpen()
        self.alpha_step(training_batch, validation_batch)
        self.weight_step(training_batch)
        return self.get_metrics_result()

    def sharpen(self):
        """Raise the factor of the alphas step by step, from 1 after the warm-up to `sharpness` at the end.

        The mixture then becomes more discrete, and the weights learn in networks ever closer to the derived
        one (annealing as in Xie et al., "SNAS", 2019), instead of losing the other operations' outputs all at
        once.
        """
        sharpness = self.options.sharpness ** self.alphas.searched(self.weight_optimizer.iterations)
        for cell in self.supernet.cells:
            cell.sharpness.assign(sharpness)

    def alpha_step(self, training_batch, validation_batch):
        """Update alpha <- alpha - rate * Adam(grad_alpha [L_val + budget term]), of first or second order."""
        if self.options.unrolled:
            gradients, loss = unrolled.alpha_gradients(self, training_batch, validation_batch)
        else:
            gradients, loss = self.alphas.gradients(self, validation_batch)
        self.alphas.apply(gradients)
        self.objective.record(self.val_loss_metric, validation_batch, loss)
