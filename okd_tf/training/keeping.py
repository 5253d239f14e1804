"""The choice of the weights that a network has at the end of its training.

    last      those after the last step
    best      those of the epoch with the highest accuracy on validation; ties go to the lower loss, then to
              the earlier epoch
    average   an exponential moving average of the weights after each step (Polyak and Juditsky, 1992)

With weights w_t after step t = 1, 2, ..., the average is

    a_0 = w_0,  a_t = d_t a_(t-1) + (1 - d_t) w_t,  d_t = min(d, (1 + t) / (10 + t)),

so that the initial weights soon lose their influence (the bound is `tf.train.ExponentialMovingAverage`'s).
The decay d is 1 - 1 / W by default, with a window W of a twentieth of the training's steps: relative to its
length, the average reaches as far back in a short training as in a long one. Moving statistics of batch norm
are averaged like weights, since they belong to the weights of their steps.

Keras's own average (`use_ema` of an optimizer) is not used: only `Optimizer.apply` updates it, which the
steps of several devices do not call (`optimizers.apply`), its decay is one number, and it leaves moving
statistics out.

The stored weights are variables outside of any strategy: one copy a worker, equal on all workers. They are
part of a training's checkpoints, so a resumed training gives the same bits. `Last` stores none.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from okd_tf import errors

HOW = ("last", "best", "average")
OWN = "average_"  # what figures of averaged weights begin with
WINDOW = 20  # the default window of the average is the training's steps over this


def make(how, network, steps, decay, workers):
    """Return the keeper of a network's final weights.

    Args:
        how: a name in HOW.
        network: a built model.
        steps: length of the training.
        decay: decay of "average", in (0, 1); negative: `default_decay(steps)`.
        workers: the worker group that trains.

    Raises:
        UserError: unknown name.
    """
    if how == "last":
        return Last(network)
    if how == "best":
        return Best(network, workers)
    if how == "average":
        return Average(network, default_decay(steps) if decay < 0 else decay)
    raise errors.unknown("--keep", how, HOW)


def default_decay(steps):
    """Return the decay of an average whose window is a twentieth of `steps` steps; 0 for up to 20 steps."""
    return 1.0 - 1.0 / max(1.0, steps / WINDOW)


class Last:
    """Keeper of the weights after the last step."""

    how, variables = "last", ()

    def __init__(self, network):
        """Create the keeper of a built model."""
        self._network = network

    def validate(self, evaluate):
        """Return the validation figures of an epoch that has ended.

        Args:
            evaluate: () -> {"accuracy", "loss"} of the network with its current weights.

        Returns:
            A dict of numbers, for the history: "val_accuracy", "val_loss".
        """
        return _named(evaluate())

    def put(self):
        """Give the network its final weights, after the training."""

    def kept(self, history):
        """Return {"accuracy", "loss", "epoch"} on validation of the final weights, given the history."""
        return _figures(history[-1])


class Best:
    """Keeper of the weights of the epoch with the best validation figures so far.

    Every worker stores them; the chief's figures decide which epoch is the best.
    """

    how = "best"

    def __init__(self, network, workers):
        """Create the keeper of a built model, given the worker group that trains."""
        self._network, self._workers = network, workers
        self._weights = _copies(network, "best")
        self._scores = keras.Variable([-1.0, np.inf], dtype="float64", trainable=False, name="best_scores")
        self._epochs = keras.Variable([0, 0], dtype="int64", trainable=False, name="best_epochs")

    @property
    def variables(self):
        """Return the keeper's variables, which are part of the state of the training."""
        return [*self._weights, self._scores, self._epochs]

    def after_step(self, step):
        """Do nothing: only whole epochs are compared."""

    def validate(self, evaluate):
        """Return the same as `Last.validate`, and store the weights if this epoch is the best so far."""
        found = evaluate()
        told = self._workers.agree(lambda: found)
        accuracy, loss = self._scores.numpy()
        done, best = self._epochs.numpy()
        if (told["accuracy"], -told["loss"]) > (accuracy, -loss):
            best = done + 1
            self._scores.assign([told["accuracy"], told["loss"]])
            for held, weight in zip(self._weights, _floats(self._network), strict=True):
                held.assign(weight.numpy())
        self._epochs.assign([done + 1, best])
        return _named(found)

    def put(self):
        """Give the network its final weights; see `Last.put`."""
        _assign(self._network, self._weights)

    def kept(self, history):
        """Return the figures of the final weights; see `Last.kept`."""
        return _figures(history[int(self._epochs.numpy()[1]) - 1])


class Average:
    """Keeper of the exponential moving average of the weights."""

    how = "average"

    def __init__(self, network, decay):
        """Create the keeper of a built model, given the limit of the average's decay."""
        self._network, self._decay = network, decay
        self.variables = _copies(network, "average")

    def after_step(self, step):
        """Update the average, in a traced call and outside of replicas.

        Args:
            step: int64 [], number of steps made, from 1.
        """
        steps = tf.cast(step, tf.float32)
        decay = tf.minimum(tf.constant(self._decay, tf.float32), (1.0 + steps) / (10.0 + steps))
        for average, weight in zip(self.variables, _floats(self._network), strict=True):
            value = average.value
            value.assign_sub(tf.cast(1.0 - decay, value.dtype) * (value - tf.convert_to_tensor(weight)))

    def validate(self, evaluate):
        """Return the figures of `Last.validate`, and those of the averaged weights, with the prefix OWN."""
        found = _named(evaluate())
        with self._put_for_now():
            return found | {f"{OWN}{name}": value for name, value in _named(evaluate()).items()}

    @contextlib.contextmanager
    def _put_for_now(self):
        """Give the network the averaged weights within the context."""
        own = [weight.numpy() for weight in _floats(self._network)]
        try:
            self.put()
            yield
        finally:
            _assign(self._network, own)

    def put(self):
        """Give the network its final weights; see `Last.put`."""
        _assign(self._network, self.variables)

    def kept(self, history):
        """Return the figures of the final weights; see `Last.kept`."""
        return _figures(history[-1], OWN)


def _floats(network):
    """Return the weights that can be averaged: all but integers, moving statistics included."""
    return [weight for weight in network.weights if "float" in weight.dtype]


def _copies(network, name):
    """Return variables that hold the current weights of a network."""
    # Named, since Keras would number them in the order in which a process makes them.
    return [
        keras.Variable(weight.numpy(), dtype=weight.dtype, trainable=False, name=f"{name}_{index}")
        for index, weight in enumerate(_floats(network))
    ]


def _assign(network, values):
    for weight, value in zip(_floats(network), values, strict=True):
        weight.assign(np.asarray(value))


def _named(figures):
    return {f"val_{name}": value for name, value in figures.items()}


def _figures(row, prefix=""):
    return {
        "accuracy": row[f"{prefix}val_accuracy"],
        "loss": row[f"{prefix}val_loss"],
        "epoch": int(row["epoch"]),
    }
