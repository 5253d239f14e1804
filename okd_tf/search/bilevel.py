"""What differentiable searches share: alphas that learn on validation batches, and proposals made of them."""

import keras

from okd_tf.search import alphas, base, expectation


class BilevelSearch(base.SearchModel):
    """A search whose `train_step` takes (training batch, validation batch), and steps alphas and weights."""

    bilevel = True
    learns = True

    def __init__(self, *args, **kwargs):
        """Take what `SearchModel` takes."""
        super().__init__(*args, **kwargs)
        self.alphas = alphas.Alphas(self.supernet, self.space, self.budget, self.options)
        self.val_loss_metric = keras.metrics.Mean("alpha_loss")

    def propose(self, count, seed):
        """Return the `count` most probable architectures that fit; `seed` has no effect."""
        del seed
        return self.alphas.most_probable(count)

    def narrow(self, budget):
        """See `SearchModel`."""
        super().narrow(budget)
        self.alphas.narrow(budget)

    def front(self, count, seed):
        """See `SearchModel`; `seed` has no effect."""
        del seed
        return self.alphas.front(count)

    def expectation(self):
        """See `SearchModel`."""
        return expectation.of_distributions(self.space, self.alphas.distributions())

    def all_optimizers(self):
        """Return all that its train_step steps with, by what they move."""
        return {**super().all_optimizers(), "alphas": self.alphas.optimizer}

    def optimizer_variables(self):
        """Return state that a checkpoint needs beside the model's own."""
        return [*super().optimizer_variables(), *self.alphas.optimizer.variables]

    def scalars(self):
        """Return learning rates, and what the alphas have to show."""
        return {**super().scalars(), **self.alphas.scalars()}
