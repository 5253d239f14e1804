"""The one training loop: runs a model's `train_step` under any distribution strategy, and resumes.

State is the global step and a flat list of variables; batches are a pure function of the step. So a run that
was killed goes on from its last checkpoint to where it would have come.
"""

import contextlib
import math
import pathlib
import time

import keras
import tensorflow as tf

from okd_tf import errors
from okd_tf.training import checkpoint, history, progress


def fit(
    model,
    batches,
    *,
    epochs,
    folder,
    title,
    strategy=None,
    at_epoch_end=None,
    callbacks=(),
    steps_per_execution=1,
    checkpoint_seconds=60.0,
):
    """Trains a model for a number of epochs, or for what is left of them.

    Args:
        model: has `train_step(batch)`, `optimizer_variables()` and `scalars()`, as `Classifier` does.
        batches: has `steps_per_epoch`, `batch_size`, `failure` and `dataset(start, stop)`, as `Batches` does.
        epochs: length of the whole training.
        folder: where `history.csv` and `checkpoints/` are kept.
        title: what to call this training on screen.
        strategy: a tf.distribute.Strategy under which the model was made; None is one device.
        at_epoch_end: () -> further logs of the epoch (a dict of numbers), such as validation accuracy.
        callbacks: Keras callbacks.
        steps_per_execution: how many steps one traced call runs.
        checkpoint_seconds: how much work a kill may cost.

    Returns:
        The history: a list of one dict per epoch.

    Raises:
        UserError: a loss or weight is not finite, or a batch cannot be made any more; the last checkpoint
            holds the state before.
    """
    folder = pathlib.Path(folder)
    strategy = strategy or tf.distribute.get_strategy()
    steps = epochs * batches.steps_per_epoch
    checkpointer = checkpoint.Checkpointer(
        folder / "checkpoints", [*model.variables, *_metric_variables(model), *model.optimizer_variables()]
    )
    step = checkpointer.restore()
    rows = history.read(folder / "history.csv", step // batches.steps_per_epoch)
    if step >= steps:
        return rows
    execute = _executor(model, strategy)
    finite = _finite_state(model)
    iterator = iter(distribute(batches.dataset(step, steps), strategy))
    callback_list = keras.callbacks.CallbackList(list(callbacks), model=model)
    shown = progress.Progress(title, steps, batches.steps_per_epoch, batches.batch_size)
    shown.start(step)
    callback_list.on_train_begin()
    saved_at = epoch_started = time.monotonic()
    with _telling(batches):
        while step < steps:
            epoch, within = divmod(step, batches.steps_per_epoch)
            if within == 0:
                model.reset_metrics()
                callback_list.on_epoch_begin(epoch)
            count = min(steps_per_execution, batches.steps_per_epoch - within)
            execute(iterator, tf.constant(count))
            step += count
            shown.step(step)
            if step % batches.steps_per_epoch == 0:
                logs = _logs(model) | (at_epoch_end() if at_epoch_end else {})
                _refuse_what_is_not_finite(logs, finite, step)
                now = time.monotonic()
                rows.append({"epoch": epoch + 1, "step": step, "seconds": now - epoch_started, **logs})
                epoch_started = now
                history.write(folder / "history.csv", rows)
                callback_list.on_epoch_end(epoch, logs)
                shown.epoch(step, logs)
            if time.monotonic() - saved_at > checkpoint_seconds or step == steps:
                _refuse_what_is_not_finite(_logs(model), finite, step)
                checkpointer.save(step)
                saved_at = time.monotonic()
    callback_list.on_train_end()
    # As they were written: a run that was resumed has read the rows before back.
    return history.read(folder / "history.csv", epochs)


@contextlib.contextmanager
def _telling(batches):
    """Raises why a batch could not be made in place of TensorFlow's error about it."""
    try:
        yield
    except tf.errors.OpError:
        if batches.failure:
            raise batches.failure from None
        raise


def _executor(model, strategy):
    @tf.function(jit_compile=False)
    def execute(iterator, count):
        for _ in tf.range(count):
            strategy.run(model.train_step, args=(next(iterator),))

    return execute


def distribute(dataset, strategy):
    """A dataset of global batches as the replicas of a strategy take it."""
    if strategy.num_replicas_in_sync == 1:
        return dataset
    return strategy.experimental_distribute_dataset(dataset)


def _metric_variables(model):
    return [variable for metric in model.metrics for variable in metric.variables]


def _logs(model):
    """The metrics and scalars so far, as numbers."""
    metrics = {name: float(value) for name, value in model.get_metrics_result().items()}
    return metrics | {name: float(value) for name, value in model.scalars().items()}


def _finite_state(model):
    """() -> bool tensor: whether every weight, moving statistic and optimizer's state is finite.

    The loss alone does not tell: oneDNN's ReLU makes 0 of what is not a number, and a dead network's loss is
    finite. Nor do weights: under a second moment of infinity, Adam never moves one again.
    """
    variables = [*model.variables, *model.optimizer_variables()]
    state = [variable.value for variable in variables if "float" in str(variable.dtype)]

    @tf.function(jit_compile=False)
    def finite():
        return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(value)) for value in state]))

    return finite


def _refuse_what_is_not_finite(logs, finite, step):
    bad = [f"{name} {logs[name]}" for name in logs if "loss" in name and not math.isfinite(logs[name])]
    if not finite():
        bad.append("a weight, moving statistic or optimizer's state")
    if bad:
        raise errors.UserError(
            f"not finite at step {step}: {', '.join(bad)}; run again with a lower --learning_rate in another "
            "--workdir, or in this one with --redo"
        )
