"""The common part of differentiable searches: alphas learn on validation batches and give the proposals."""

import keras

from okd_tf.search import alphas, base, expectation


class BilevelSearch(base.SearchModel):
    """A search whose `train_step` takes (training batch, validation batch), and steps alphas and weights."""

    bilevel = True
    learns = True

    def __init__(self, *args, **kwargs):
        """Create the search model; arguments as for `SearchModel`."""
        super().__init__(*args, **kwargs)
        self.alphas = alphas.Alphas(self.supernet, self.space, self.budget, self.options)
        self.val_loss_metric = keras.metrics.Mean("alpha_loss")

    def propose(self, count, seed):
        """Return the `count` most probable architectures that fit; `seed` has no effect."""
        del seed
        return self.alphas.most_probable(count)

    def narrow(self, budget):
        """Set a smaller budget; see `SearchModel`."""
        super().narrow(budget)
        self.alphas.narrow(budget)

    def front(self, count, seed):
        """Return promising architectures over the whole budget; see `SearchModel`. `seed` has no effect."""
        del seed
        return self.alphas.front(count)

    def expectation(self):
        """Return averages over the current distributions; see `SearchModel`."""
        return expectation.of_distributions(self.space, self.alphas.distributions())

    def all_optimizers(self):
        """Return the optimizers of `train_step`, keyed by what they update."""
        return {**super().all_optimizers(), "alphas": self.alphas.optimizer}

    def optimizer_variables(self):
        """Return the variables a checkpoint needs in addition to the model's own: the optimizers'."""
        return [*super().optimizer_variables(), *self.alphas.optimizer.variables]

    def scalars(self):
        """Return the learning rates, and the numbers to record of the alphas."""
        return {**super().scalars(), **self.alphas.scalars()}
