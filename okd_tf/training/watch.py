"""The non-finite guard: stops a training when a number is not finite, and keeps it out of checkpoints."""

import functools
import math
import time

import tensorflow as tf

from okd_tf import errors

LOOK_SECONDS = 1.0  # how often is looked within an epoch; each look waits for the device


class Watch:
    """A guard of the losses of every step, and of the state before it is saved."""

    def __init__(self, model):
        """Create the guard of a built model."""
        variables = [*model.variables, *model.optimizer_variables()]
        self._state = [variable.value for variable in variables if "float" in str(variable.dtype)]
        # Where backpropagation ends and begins: what is not finite reaches one of them soon. To look at all
        # weights in every step costs a percent or two of it.
        learnt = [variable.value for variable in model.trainable_variables]
        self._ends = [learnt[0], learnt[-1]]
        self._first = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._looked_at = time.monotonic()

    def note(self, step, logs):
        """Record, in a traced call, the first step after which a loss or an end's weight is not finite.

        The ends are the first and the last weight: where backpropagation ends and begins.

        Args:
            step: int64 [], from 1.
            logs: the results of `train_step`, a dict for each replica: its mean losses of the epoch so far.
        """
        seen = [value for replica in logs for name, value in replica.items() if "loss" in name]
        seen += [tf.reduce_sum(end) for end in self._ends]
        finite = tf.reduce_all(tf.math.is_finite(tf.stack([tf.cast(value, tf.float32) for value in seen])))
        self._first.assign(tf.where(finite | (self._first > 0), self._first, step))

    def look(self, now_and_then=False):
        """Raise if such a step was recorded; with `now_and_then`, check at most once in LOOK_SECONDS.

        Raises:
            UserError: names the step.
        """
        now = time.monotonic()
        if now_and_then and now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        first = int(self._first)
        if first:
            raise _not_finite(first, "the loss, or what it has made of the weights")

    def refuse_what_is_not_finite(self, logs, step):
        """Raise unless all losses of these logs, and all of the state, are finite numbers.

        Raises:
            UserError: names the step and what is not finite.
        """
        self.look()
        bad = [f"{name} {logs[name]}" for name in logs if "loss" in name and not math.isfinite(logs[name])]
        if not self._finite():
            bad.append("a weight, moving statistic or optimizer's state")
        if bad:
            raise _not_finite(step, ", ".join(bad))

    @functools.cached_property
    def _finite(self):
        """Return a function () -> bool: whether weights, moving statistics and optimizer state are finite.

        The loss alone does not show it: oneDNN's ReLU maps NaN to 0, and a dead network's loss is finite. Nor
        do weights alone: with an infinite second moment, Adam never updates a weight again.
        """

        @tf.function(jit_compile=False, autograph=False)
        def finite():
            return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(value)) for value in self._state]))

        # Concrete: TensorFlow warns of one function traced often, and takes those of all trainings for one.
        return finite.get_concrete_function()


def _not_finite(step, what):
    return errors.UserError(
        f"not finite at step {step}: {what}; run again with a lower --learning_rate in another --workdir, or "
        "in this one with --redo"
    )
