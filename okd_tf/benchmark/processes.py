"""Processes of the cases: each case runs in its own, which waits while it is not its turn.

So its peak memory is its own, and no case is affected by the threads or allocations of another. Nothing here
imports TensorFlow before `start` has configured a process.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator

from okd_tf import errors, memory
from okd_tf.benchmark import measure
from okd_tf.benchmark.setup import Setup


class Process:
    """A `measure.Runner` whose case runs in another process."""

    def __init__(self, name: str, setup: Setup, start: Callable[[], None]):
        """Start the process and wait until its case is ready.

        Args:
            name: name of the case for `cases.make`.
            setup: the `Setup` to measure.
            start: called first in the process; a function of a module, since it is another interpreter.

        Raises:
            UserError: raised by the case, or its process has ended.
        """
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, setup, start), daemon=True)
        self._process.start()
        theirs.close()
        self.ready: measure.Ready = self._receive()

    def turn(self, seconds: float) -> measure.Turn:
        """Run the case for at least `seconds` in its process; return the measurement.

        Raises:
            UserError: raised by the case, or its process has ended.
        """
        self._connection.send(seconds)
        return self._receive()

    def end(self):
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _receive(self):
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            if why := memory.line_of_exit(self._process.exitcode):
                raise errors.UserError(f"--what: the process of {self._name} {why}") from None
            raise errors.UserError(
                f"--what: the process of {self._name} ended with code {self._process.exitcode}; see what it "
                "printed"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextlib.contextmanager
def running(
    names: list[str], setup: Setup, start: Callable[[], None], say: Callable[[str], None]
) -> Iterator[dict[str, Process]]:
    """Yield processes of these cases, by name, that are ready; end all of them on exit."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name in names:
            say(f"benchmark: preparing {name}")
            started[name] = Process(name, setup, start)
            stack.callback(started[name].end)
        yield started


def _serve(connection, name, setup, start):
    """Run turns on request, until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    try:
        start()
        from okd_tf.benchmark import cases

        cases.prepare(name)
        case = cases.make(name, setup)
        for _ in range(measure.WARM_UP):
            case.step()
        connection.send(measure.Ready(case.images, case.flops, measure.peak_rss_bytes()))
        while True:
            connection.send(measure.turn(case.step, connection.recv()))
    except errors.UserError as error:
        connection.send(error)
    except Exception as error:
        why = memory.line(error)
        if not why:
            raise
        connection.send(errors.UserError(f"--what: {name}: {why}"))
    except (EOFError, BrokenPipeError):
        pass  # nobody is there any more
