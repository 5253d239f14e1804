"""Each case in a process of its own, which waits while it is not its turn.

So its peak of memory is its own, and no case finds the threads or allocations of another. Nothing here
imports TensorFlow before a process is told how.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator

from okd_tf import errors, memory
from okd_tf.benchmark import measure
from okd_tf.benchmark.setup import Setup


class Process:
    """A `measure.Runner` whose case runs elsewhere."""

    def __init__(self, name: str, setup: Setup, start: Callable[[], None]):
        """Starts the process and waits until its case is ready.

        Args:
            name: of the case, as `cases.make` takes it.
            setup: what is measured.
            start: what the process calls first; a function of a module, since it is another interpreter.

        Raises:
            UserError: what the case says, or that its process has ended.
        """
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, setup, start), daemon=True)
        self._process.start()
        theirs.close()
        self.ready: measure.Ready = self._receive()

    def turn(self, seconds: float) -> measure.Turn:
        """Has the case run for at least so long."""
        self._connection.send(seconds)
        return self._receive()

    def end(self):
        """Ends the process."""
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
    """Processes of these cases, by name, that are ready; all are ended on the way out."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name in names:
            say(f"benchmark: preparing {name}")
            started[name] = Process(name, setup, start)
            stack.callback(started[name].end)
        yield started


def _serve(connection, name, setup, start):
    """Takes turns, as long as someone is there to ask for them."""
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
