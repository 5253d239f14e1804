"""The one training loop: runs a model's `train_step` under any distribution strategy, and resumes.

The state is the global step and a flat list of variables; batches are a pure function of the step. So a run
that was killed resumes from its last checkpoint and ends with the same result. A run that is asked to stop
finishes its step and writes a checkpoint first. Many workers do all of this at the same steps; only their
chief writes.
"""

import contextlib
import pathlib
import time

import keras
import tensorflow as tf

from okd_tf import progress, stopping
from okd_tf.training import checkpoint, crew, history, optimizers, watch


def fit(
    model,
    batches,
    *,
    epochs,
    folder,
    title,
    strategy=None,
    at_epoch_end=None,
    beside=(),
    callbacks=(),
    steps_per_execution=1,
    checkpoint_seconds=60.0,
    checkpoint_steps=0,
):
    """Train a model for a number of epochs, or for those that a resumed training has left.

    Args:
        model: has `train_step(batch)`, which returns its mean losses so far by name, `all_optimizers()`,
            `optimizer_variables()` and `scalars()`, as `Classifier` does.
        batches: has `steps_per_epoch`, `batch_size`, `failure`, `dataset(start, stop)` and, for many workers,
            `portions`, as `Batches` does.
        epochs: length of the whole training.
        folder: folder of `history.csv` and `checkpoints/`.
        title: name of this training on screen.
        strategy: the tf.distribute.Strategy under which the model was made; None: one device.
        at_epoch_end: () -> further logs of the epoch (a dict of numbers), such as validation accuracy.
        beside: further parts of this training, such as a keeper of `keeping`: each has `variables`, which are
            part of the state, and `after_step(step)`, which is traced and takes the number of steps made.
        callbacks: Keras callbacks.
        steps_per_execution: number of steps that one traced call runs.
        checkpoint_seconds: seconds between checkpoints.
        checkpoint_steps: steps between checkpoints, in addition; 0: no limit in steps.

    Returns:
        The history: a list of one dict per epoch. Of many workers, only the chief returns all of it.

    Raises:
        UserError: a loss or weight is not finite, float16 skips every step even with an unscaled loss, or a
            batch cannot be made; the last checkpoint holds an earlier state.
        Stopped: the program is asked to stop; the last checkpoint holds the state reached.
    """
    folder = pathlib.Path(folder)
    strategy = strategy or tf.distribute.get_strategy()
    steps = epochs * batches.steps_per_epoch
    workers = crew.of(strategy)
    whole = [*state(model), *(variable for one in beside for variable in one.variables)]
    checkpointer = checkpoint.Checkpointer(folder / "checkpoints", whole, workers)
    step = checkpointer.restore()
    epochs_done = step // batches.steps_per_epoch
    rows = history.finished(folder / "history.csv", epochs_done) if workers.leads else []
    if step >= steps:
        return rows
    watcher = watch.Watch(model)
    execute = _executor(model, strategy, watcher, beside)
    iterator = iter(distribute(batches, step, steps, strategy))
    callback_list = keras.callbacks.CallbackList(list(callbacks), model=model)
    shown = progress.Progress(title, steps, batches.steps_per_epoch, batches.batch_size)
    shown.start(step)
    callback_list.on_train_begin()
    saves = _Saves(model, checkpointer, watcher, workers, checkpoint_seconds, checkpoint_steps, step)
    epoch_started = time.monotonic()
    with _telling(batches), stopping.deferred():
        while step < steps:
            epoch, within = divmod(step, batches.steps_per_epoch)
            if within == 0:
                model.reset_metrics()
                callback_list.on_epoch_begin(epoch)
            count = saves.room(step, min(steps_per_execution, batches.steps_per_epoch - within))
            execute(iterator, tf.constant(step, tf.int64), tf.constant(count, tf.int64))
            step += count
            shown.step(step)
            watcher.look(now_and_then=True)
            if step % batches.steps_per_epoch == 0:
                watcher.look()
                logs = _logs(model) | (at_epoch_end() if at_epoch_end else {})
                watcher.refuse_what_is_not_finite(logs, step)
                now = time.monotonic()
                rows.append({"epoch": epoch + 1, "step": step, "seconds": now - epoch_started, **logs})
                epoch_started = now
                if workers.leads:
                    history.write(folder / "history.csv", rows)
                callback_list.on_epoch_end(epoch, logs)
                shown.epoch(step, logs)
            saves.after(step, steps, title)
    callback_list.on_train_end()
    # As they were written: a run that was resumed has read the rows before back.
    return history.read(folder / "history.csv", epochs) if workers.leads else rows


class _Saves:
    """The checkpoints of a training: at intervals, at its end, and before it stops because it is asked to."""

    def __init__(self, model, checkpointer, watcher, workers, seconds, steps, step):
        """Create the schedule from a training, its longest intervals in seconds and steps, and its step."""
        self._model, self._checkpointer = model, checkpointer
        self._watcher, self._workers = watcher, workers
        self._seconds, self._steps = seconds, steps
        self._saved_at, self._saved_step = time.monotonic(), step

    def room(self, step, count):
        """Return how many of `count` steps may be made before the next checkpoint by steps is due."""
        return min(count, self._saved_step + self._steps - step) if self._steps else count

    def after(self, step, last, title):
        """Save a checkpoint after a step if one is due.

        Raises:
            UserError: the state is not finite, or an optimizer makes no steps any more.
            Stopped: the program is asked to stop; the step is saved.
        """
        late = time.monotonic() - self._saved_at > self._seconds
        signum, who, due = self._workers.heard(
            stopping.asked(), late or step - self._saved_step == self._steps
        )
        if due or step == last or signum:
            self._watcher.refuse_what_is_not_finite(_logs(self._model), step)
            optimizers.refuse_what_is_stuck(self._model.all_optimizers(), step)
            self._checkpointer.save(step)
            self._saved_at, self._saved_step = time.monotonic(), step
        if signum:
            by = f"; it was {who} that got it" if who else ""
            raise stopping.Stopped(signum, f"{title}, step {step} of {last}, is saved{by}")


@contextlib.contextmanager
def _telling(batches):
    """Raise the reason why a batch could not be made in place of TensorFlow's error about it."""
    try:
        yield
    except tf.errors.OpError:
        if batches.failure:
            raise batches.failure from None
        raise


def _executor(model, strategy, watcher, beside):
    # The loop below alone needs AutoGraph; to convert all that a step calls takes longer than to trace it.
    train_step, note = map(tf.autograph.experimental.do_not_convert, (model.train_step, watcher.note))
    followers = [tf.autograph.experimental.do_not_convert(one.after_step) for one in beside]

    @tf.function(jit_compile=False)
    def execute(iterator, step, count):
        for index in tf.range(count):
            logs = strategy.run(train_step, args=(next(iterator),))
            note(step + index + 1, strategy.experimental_local_results(logs))
            for follow in followers:
                follow(step + index + 1)

    return execute


def distribute(batches, start, stop, strategy):
    """Return the batches of the steps start..stop-1 as the replicas of a strategy take them.

    Many workers get a dataset without an end, which begins with these batches.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return batches.dataset(start, stop)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return strategy.experimental_distribute_dataset(batches.dataset(start, stop))

    def own(context):
        """Return the dataset of this worker's portion of each batch, one part for each of its devices."""
        count = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * count
        # Without an end, at which TensorFlow has all workers ask each other in every step if it has come.
        return batches.portions(start, stop, range(first, first + count), replicas).repeat()

    return strategy.distribute_datasets_from_function(own)


def state(model):
    """Return every variable of a training: those of the model, its metrics and its optimizers."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.variables, *metrics, *model.optimizer_variables()]


def _logs(model):
    """Return the metrics and scalars so far, as numbers."""
    metrics = {name: float(value) for name, value in model.get_metrics_result().items()}
    return metrics | {name: float(value) for name, value in model.scalars().items()}
