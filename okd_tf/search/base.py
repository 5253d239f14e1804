"""The base class of search strategies: a Keras model around a supernet; `train_step` is the strategy."""

import abc

import keras
import tensorflow as tf

from okd_tf.losses import mixed_labels
from okd_tf.training import accuracy, gentle, optimizers


class SearchModel(keras.Model, abc.ABC):
    """A supernet with its objective, trained by a strategy.

    Class attributes:
        cell: the class of the supernet's cells.
        bilevel: whether `train_step` takes (training batch, validation batch) or one training batch.
        learns: whether its proposals depend on what it has trained.
    """

    cell: type
    bilevel: bool
    learns: bool

    def __init__(self, supernet, space, budget, objective, weight_optimizer, options, **kwargs):
        """Create the search model.

        Args:
            supernet: a `supernet.Supernet` with this class's cells.
            space: the `SearchSpace` it spans.
            budget: the `Budget` that proposals must fit.
            objective: the search loss, an `Objective`.
            weight_optimizer: a Keras optimizer for the shared weights, not yet built; in float16 one returned
                by `optimizers.scaling`.
            options: a `SearchOptions`.
            **kwargs: arguments of `keras.Model`.

        Raises:
            UserError: a pretrained batch norm that cannot be frozen has to be; see `gentle.Gentle`.
        """
        super().__init__(**kwargs)
        self.network = supernet.network
        self.supernet = supernet
        self.space = space
        self.budget = budget
        self.objective = objective
        self.weight_optimizer = weight_optimizer
        self.options = options
        self.weight_optimizer.build(supernet.weights())
        is_kept = frozenset(supernet.kept).__contains__
        self.gentle = gentle.make(
            *([supernet.network], is_kept, options.warm_rate, options.frozen_steps, weight_optimizer)
        )
        self.loss_metric = keras.metrics.Mean("loss")
        self.accuracy_metric = accuracy.metric()
        self.supports_jit = False
        self.built = True

    @abc.abstractmethod
    def train_step(self, data):
        """Make one step of the strategy; return the metrics so far."""

    @abc.abstractmethod
    def propose(self, count, seed):
        """Return up to `count` different architectures within the budget, the most promising first."""

    def narrow(self, budget):
        """Set a smaller `Budget` for all later proposals; the model is not trained any more."""
        self.budget = budget

    def front(self, count, seed):
        """Return up to `count` different architectures within the budget that are promising for their size.

        A strategy that can rate networks of a given size returns architectures that range over the budget;
        this method returns those of `propose`.
        """
        return self.propose(count, seed)

    @abc.abstractmethod
    def expectation(self):
        """Return averages over the architectures that the strategy would choose now: an `Expectation`."""

    def end_epoch(self, validation, strategy):
        """Do the strategy's work between two epochs; return the numbers to record of it.

        Args:
            validation: `Batches` of the validation split.
            strategy: the tf.distribute.Strategy of the search.
        """
        del validation, strategy
        return {}

    def call(self, inputs, training=None):
        """Return the supernet's logits [batch, classes] of pixels [batch, height, width, channels]."""
        return self.network(inputs, training=training)

    def weight_step(self, batch):
        """Make one step of the shared weights on a training batch; L2 skips operations that do not run."""
        teacher_logits = self.objective.teacher_logits(batch)
        weights = self.supernet.weights()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([weight.value for weight in weights])
            logits = self.network(batch["image"], training=True)
            loss = self.objective(batch, logits, teacher_logits)
            scaled = self.weight_optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [weight.value for weight in weights], unconnected_gradients="zero")
        decay, running = self.options.weight_decay, self.supernet.running()
        optimizers.apply(
            self.weight_optimizer,
            optimizers.unscaled(self.weight_optimizer, gradients),
            weights,
            clip_norm=self.options.clip_norm,
            beside=lambda gradients: optimizers.with_l2(gradients, weights, decay, running),
            factors=gentle.factors(self.gentle, weights),
        )
        self.objective.record(self.loss_metric, batch, loss)
        self.accuracy_metric.update_state(mixed_labels.from_batch(batch), logits)

    def optimizer_variables(self):
        """Return the variables a checkpoint needs in addition to the model's own: the optimizers'."""
        return list(self.weight_optimizer.variables)

    def all_optimizers(self):
        """Return the optimizers of `train_step`, keyed by what they update."""
        return {"weights": self.weight_optimizer}

    def scalars(self):
        """Return the numbers to record in addition to the metrics: learning rate and loss scale."""
        return {
            "learning_rate": float(self.weight_optimizer.learning_rate),
            **optimizers.scalars(self.weight_optimizer, "weights"),
        }
