"""The group of workers that train together: the chief writes and decides, the others receive its decisions.

All workers run the same program and synchronise in every training step. Between trainings the chief works
alone, and its decision or its failure is broadcast to all: so no worker reads a file that another is writing.
In a program of one process, `of` returns `Alone`, whose methods run the work directly.
"""

import contextlib
import functools
import json
import pathlib
import re
import threading
import time

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.training import cluster

SEEN_SECONDS = 120.0  # how long a shared file system may take to show what another worker has written
_GONE_SECONDS = 20.0  # within which what is gone has been noticed, and has left its port
_TASK = re.compile(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)")
_OF_OTHERS = ("ollective", "oordination")  # in errors that are of the workers' talk


def of(strategy):
    """Return the worker group that a tf.distribute.Strategy is spread over."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Alone()
    return _of_workers(strategy)


@functools.cache
def _of_workers(strategy):
    found = cluster.read()
    return Alone() if found.size == 1 else Crew(strategy, found)


class Alone:
    """The worker group of a single process, which is its own chief. `Crew` documents each method."""

    leads, size = True, 1

    def lead(self, work, shows=None):
        """Return the result of `work()`."""
        del shows
        return work()

    def agree(self, decide):
        """Return the result of `decide()`."""
        return decide()

    def copies(self, variables):
        """Return the variables themselves: reading them needs no other worker."""
        return variables

    def heard(self, asked, due):
        """Return (asked, "", due)."""
        return asked, "", due

    def together(self):
        """Return a context that does nothing: there is no worker to lose."""
        return contextlib.nullcontext()


class Crew:
    """The worker group of a MultiWorkerMirroredStrategy."""

    def __init__(self, strategy, workers: cluster.Cluster):
        """Create the group from the strategy and the cluster it was made for."""
        self._strategy = strategy
        self._workers = workers

    @property
    def size(self):
        """Return the number of workers."""
        return self._workers.size

    @property
    def leads(self):
        """Return whether this process is the chief, which alone writes."""
        return self._workers.number == 0

    def lead(self, work, shows=None):
        """Run work on the chief alone: wait for all workers, run it, and let all go on when it is done.

        Args:
            work: () -> anything.
            shows: a folder; no worker goes on before it sees the folder's files as the chief does. None: no
                check.

        Returns:
            The result of `work` on the chief; None elsewhere.

        Raises:
            UserError: raised by the work, on all workers; or the files in the folder are not visible here.
        """
        made = []

        def tell():
            made.append(work())
            return _listing(shows) if shows else {}

        _see(shows, self.agree(tell))
        return made[0] if made else None

    def agree(self, decide):
        """Return the chief's decision on all workers, having waited for all.

        Args:
            decide: () -> a JSON value.

        Raises:
            UserError: raised by the decision, on all workers.
        """
        self._sum([0])
        said, failure = {}, None
        if self.leads:
            try:
                said = {"value": decide()}
            except errors.UserError as error:
                said, failure = {"error": str(error)}, error
        said = self._tell(said)
        if "error" in said:
            raise failure or errors.UserError(said["error"])
        return said["value"]

    def copies(self, variables):
        """Return for each variable, of which replicas may hold parts, a plain variable of this process."""
        return [tf.Variable(tf.zeros(variable.shape, variable.dtype)) for variable in variables]

    def share(self, variables):
        """Broadcast the chief's values of variables that each worker has a copy of, to the bit."""
        content = b"".join(variable.numpy().tobytes() for variable in variables)
        words = np.frombuffer(content + b"\0" * (-len(content) % 4), np.int32)
        content = self._sum(words if self.leads else 0 * words).tobytes()
        start = 0
        for variable in variables:
            own = variable.numpy()
            variable.assign(np.frombuffer(content, own.dtype, own.size, start).reshape(own.shape))
            start += own.nbytes

    def heard(self, asked, due):
        """Return what all workers do after a step: stop for a signal, save a checkpoint, or go on.

        Args:
            asked: the signal that stops this worker, or 0.
            due: whether a checkpoint is due; only the chief's value counts.

        Returns:
            The signal that all obey, or 0; the name of another worker that received it, or ""; whether a
            checkpoint is due.
        """
        numbers = np.zeros(self._workers.size + 1, np.int32)
        numbers[self._workers.number] = asked
        numbers[-1] = self.leads and due
        *signals, due = self._total(tf.constant(numbers)).numpy()
        # Each replica of a worker has spoken.
        signals = [
            int(total) * self._workers.size // self._strategy.num_replicas_in_sync for total in signals
        ]
        number = next((number for number, signum in enumerate(signals) if signum), None)
        if asked or number is None:
            return asked, "", bool(due)
        return signals[number], self._workers.name(number), bool(due)

    @contextlib.contextmanager
    def together(self):
        """Translate TensorFlow's errors within the context if another worker is gone.

        Raises:
            LostWorkerError: in place of TensorFlow's error, naming the workers that are gone.
        """
        try:
            yield
        except tf.errors.OpError as error:
            gone = self._gone(error)
            if not gone:
                raise
            names = ", ".join(map(self._workers.name, gone))
            raise errors.LostWorkerError(
                f"{names} {'is' if len(gone) == 1 else 'are'} gone, and none goes on alone; start the same "
                "command on all workers again, and it goes on from the last checkpoint"
            ) from None

    def _gone(self, error):
        """Return the numbers of the workers that an error names as lost or that do not answer."""
        message = error.message or ""
        unavailable = isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError))
        if not unavailable and not any(word in message for word in _OF_OTHERS):
            return []
        tasks = {(job, int(index)) for job, index in _TASK.findall(message)}
        named = {number for number, task in enumerate(self._workers.tasks) if task in tasks}
        gone = (named - {self._workers.number}) | set(self._workers.unreachable())
        deadline = time.monotonic() + _GONE_SECONDS
        while not gone and time.monotonic() < deadline:
            time.sleep(0.5)
            gone = set(self._workers.unreachable())
        return sorted(gone)

    def _tell(self, said):
        """Return the chief's JSON value on all workers."""
        content = np.frombuffer(json.dumps(said).encode(), np.uint8)
        length = int(self._sum([len(content) if self.leads else 0])[0])
        return json.loads(self._sum(content if self.leads else np.zeros(length)).astype(np.uint8).tobytes())

    def _sum(self, numbers):
        """Return the sum of all workers' integers [length], on all; a signal ends the wait."""
        numbers = np.asarray(numbers, np.int32)

        def total():
            # The first replica of each worker speaks for it.
            values = self._strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(numbers if self._speaks(context) else 0 * numbers)
            )
            return self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()

        return patiently(total)

    def _speaks(self, context):
        each = self._strategy.num_replicas_in_sync // self._workers.size
        return context.replica_id_in_sync_group % each == 0

    @functools.cached_property
    def _total(self):
        @tf.function(jit_compile=False)
        def total(numbers):
            everywhere = self._strategy.run(tf.identity, args=(numbers,))
            return self._strategy.reduce(tf.distribute.ReduceOp.SUM, everywhere, axis=None)

        return total


def patiently(work, seconds=None):
    """Return the result of `work()`, which may wait for other workers, while signals still stop this process.

    Python handles signals in the main thread, between its own steps; so the work runs in another thread.

    Raises:
        TimeoutError: the work takes longer than `seconds`; None is no limit. Its own errors are raised too.
    """
    done = []

    def run():
        try:
            done.append((work(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    deadline = time.monotonic() + seconds if seconds else float("inf")
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
        if time.monotonic() > deadline:
            raise TimeoutError
    result, error = done[0]
    if error is not None:
        raise error
    return result


def _listing(folder):
    """Return the size in bytes of each file that a stage leaves in a folder, by its path in the folder."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_passing(path.relative_to(folder))
    }


def _is_passing(path):
    """Return whether a path is of a temporary file: a hidden one or a checkpoint."""
    return "checkpoints" in path.parts or any(part.startswith(".") for part in path.parts)


def _see(folder, listing):
    """Wait until the files of a listing are visible to this worker with the sizes listed.

    Raises:
        UserError: a file is not, after SEEN_SECONDS.
    """
    deadline = time.monotonic() + SEEN_SECONDS
    for name, size in listing.items():
        path = pathlib.Path(folder) / name
        while not path.exists() or path.stat().st_size != size:
            if time.monotonic() > deadline:
                raise errors.UserError(
                    f"{path}: is not here as worker 0 has written it; --workdir must be a folder that all "
                    "workers share"
                )
            # Listing a folder has some file systems look again.
            list(path.parent.iterdir() if path.parent.is_dir() else ())
            time.sleep(0.2)
