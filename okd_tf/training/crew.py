"""Workers that train together: one leads, writes and decides, and the others hear of it.

All run the same program and meet in every training step. Between trainings the lead works alone, and what it
decides, or that it failed, is told to all: so nobody asks files that somebody else is writing. In a program
of one process, `of` gives `Alone`, and each of these things is just done.
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
    """The workers that a tf.distribute.Strategy is spread over."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Alone()
    return _of_workers(strategy)


@functools.cache
def _of_workers(strategy):
    found = cluster.read()
    return Alone() if found.size == 1 else Crew(strategy, found)


class Alone:
    """One process: it leads, and nobody waits for it. What each method is for, `Crew` says."""

    leads, size = True, 1

    def lead(self, work, shows=None):
        """What `work()` gives."""
        del shows
        return work()

    def agree(self, decide):
        """What `decide()` gives."""
        return decide()

    def copies(self, variables):
        """The variables themselves: to read them takes nobody else."""
        return variables

    def heard(self, asked, due):
        """(asked, "", due)."""
        return asked, "", due

    def together(self):
        """Nothing can be lost."""
        return contextlib.nullcontext()


class Crew:
    """The workers of a MultiWorkerMirroredStrategy."""

    def __init__(self, strategy, workers: cluster.Cluster):
        """Takes the strategy, and the cluster it was made for."""
        self._strategy = strategy
        self._workers = workers

    @property
    def size(self):
        """How many workers there are."""
        return self._workers.size

    @property
    def leads(self):
        """Whether this process is the one that writes."""
        return self._workers.number == 0

    def lead(self, work, shows=None):
        """The lead does it when all are here; all go on when it is done.

        Args:
            work: () -> anything.
            shows: a folder; nobody goes on before the files in it, as the lead sees them, are seen here too.

        Returns:
            What `work` gave, on the lead; None elsewhere.

        Raises:
            UserError: that of the work, on all; or what is in the folder is not seen here.
        """
        made = []

        def tell():
            made.append(work())
            return _listing(shows) if shows else {}

        _see(shows, self.agree(tell))
        return made[0] if made else None

    def agree(self, decide):
        """What the lead decides when all are here, on all.

        Args:
            decide: () -> what JSON can say.

        Raises:
            UserError: that of the decision, on all.
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
        """A plain variable of this process for each of these, which replicas may hold parts of."""
        return [tf.Variable(tf.zeros(variable.shape, variable.dtype)) for variable in variables]

    def share(self, variables):
        """Gives all workers the lead's values of variables that each has for itself, to the bit."""
        content = b"".join(variable.numpy().tobytes() for variable in variables)
        words = np.frombuffer(content + b"\0" * (-len(content) % 4), np.int32)
        content = self._sum(words if self.leads else 0 * words).tobytes()
        start = 0
        for variable in variables:
            own = variable.numpy()
            variable.assign(np.frombuffer(content, own.dtype, own.size, start).reshape(own.shape))
            start += own.nbytes

    def heard(self, asked, due):
        """What all workers do after a step, since one is asked to stop or the lead has work to save.

        Args:
            asked: the signal that wants this worker to stop, or 0.
            due: whether a checkpoint is due, which counts on the lead.

        Returns:
            The signal that all obey, or 0; who else got it, or ""; whether a checkpoint is due.
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
        """What is done within needs all workers.

        Raises:
            LostWorkerError: in place of TensorFlow's errors, if another is gone.
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
        """Which workers are: those that an error names, and those that do not answer."""
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
        """What the lead says, on all."""
        content = np.frombuffer(json.dumps(said).encode(), np.uint8)
        length = int(self._sum([len(content) if self.leads else 0])[0])
        return json.loads(self._sum(content if self.leads else np.zeros(length)).astype(np.uint8).tobytes())

    def _sum(self, numbers):
        """The sum of all workers' integers [length], on all; a signal ends the wait for the others."""
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
    """What `work()` gives, which may wait for other workers: signals stop this process meanwhile.

    Python handles them in the main thread, between its own steps; so the work has another thread.

    Raises:
        TimeoutError: it takes longer than so many seconds.
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
    """The size of each file that a stage leaves in a folder, by its path in there."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_passing(path.relative_to(folder))
    }


def _is_passing(path):
    """Whether what lies there is gone soon."""
    return "checkpoints" in path.parts or any(part.startswith(".") for part in path.parts)


def _see(folder, listing):
    """Waits until the files of a listing are seen here."""
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
