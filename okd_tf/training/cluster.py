"""The workers of a multi-worker run, from TF_CONFIG, and the rendezvous before TensorFlow connects them.

TensorFlow waits silently for a worker that never comes, and trusts any process that answers at an address.
So the chief, worker 0, first listens at its own address: every other worker connects and sends its number
and its settings. Then all workers go on together, or none does. This module needs no TensorFlow.
"""

import contextlib
import dataclasses
import json
import os
import socket
import time

from okd_tf import errors

FLAG = "--distribution=multi_worker"
VARIABLE = "TF_CONFIG"
_SHAPE = (
    'as in {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
_MAGIC = "okd_tf"  # what a message begins with: whoever else listens there does not say it
_PATIENCE = 5.0  # seconds for an answer of who is there
_LONGEST = 1 << 20  # bytes of a message
PORT_SECONDS = 30.0  # how long a port may still belong to the run before


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run, and the number of this process among them.

    Attributes:
        addresses: HOST:PORT of each worker, the chief's first.
        number: number of this process.
        tasks: TensorFlow's name of each worker: (task type, index).
    """

    addresses: tuple[str, ...]
    number: int
    tasks: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """Return the number of workers."""
        return len(self.addresses)

    def name(self, number: int) -> str:
        """Return the name of a worker for messages: its number and address."""
        return f"worker {number} ({self.addresses[number]})"

    def unreachable(self) -> list[int]:
        """Return the numbers of the other workers whose address does not answer now."""
        return [number for number in range(self.size) if number != self.number and not self._answers(number)]

    def _answers(self, number: int) -> bool:
        try:
            with _connected(self.addresses[number]):
                return True
        except OSError:
            return False


def read() -> Cluster:
    """Return the cluster described by TF_CONFIG.

    Raises:
        UserError: TF_CONFIG is not set, or does not describe a cluster of workers that includes this process.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        raise errors.UserError(
            f"{FLAG}: the environment variable {VARIABLE} is not set; set it for each worker, {_SHAPE}, or "
            "use another --distribution"
        )
    try:
        described = json.loads(text)
        jobs = described["cluster"]
        task = described["task"]
        own = (task["type"], int(task["index"]))
        tasks = [(job, index) for job in sorted(jobs) for index in range(len(jobs[job]))]
        addresses = tuple(jobs[job][index] for job, index in tasks)
        for address in addresses:
            _split(address)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"is not what it must be ({error})"
        raise errors.UserError(f"{VARIABLE}: {what}; write it {_SHAPE}") from None
    foreign = sorted(set(jobs) - {"chief", "worker"} | {own[0]} - {"chief", "worker"})
    if foreign:
        raise errors.UserError(
            f"{VARIABLE}: has a task of type '{foreign[0]}', and here all are workers, or a chief and "
            "workers; leave it out"
        )
    if len(jobs.get("chief", ())) > 1:
        raise errors.UserError(f"{VARIABLE}: names {len(jobs['chief'])} chiefs; name one, or workers alone")
    if own not in tasks:
        raise errors.UserError(
            f"{VARIABLE}: this process is '{own[0]}' {own[1]}, and the cluster has "
            f"{', '.join(f'{len(jobs[job])} of {job!r}' for job in sorted(jobs))}; indices count from 0"
        )
    twice = next((address for address in addresses if addresses.count(address) > 1), None)
    if twice:
        raise errors.UserError(f"{VARIABLE}: names {twice} twice; each worker needs an address of its own")
    return Cluster(addresses, tasks.index(own), tuple(tasks))


def roll_call(cluster: Cluster, told: dict[str, str], seconds: float) -> None:
    """Wait for the rendezvous: return once all workers are present with equal settings.

    Args:
        cluster: the workers.
        told: settings that must be equal on all workers: text by flag.
        seconds: how long to wait for the other workers.

    Raises:
        UserError: this worker's port is in use, or the settings of two workers differ.
        LostWorkerError: a worker does not come in time.
    """
    deadline = time.monotonic() + seconds
    with _listening(cluster, min(deadline, time.monotonic() + PORT_SECONDS)) as server:
        if cluster.number == 0:
            _call(server, cluster, told, deadline, seconds)
            return
    _answer(cluster, told, deadline, seconds)


def _call(server, cluster, told, deadline, seconds):
    """Run the chief's side: hold the connections until all workers have come, then send the outcome to all.

    Raises:
        UserError: the settings of a worker differ from the chief's.
        LostWorkerError: a worker does not come in time.
    """
    present: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        refusal, lost = "", False
        while len(present) < cluster.size - 1 and not refusal:
            if time.monotonic() > deadline:
                missing = [n for n in range(1, cluster.size) if n not in present]
                names, lost = ", ".join(map(cluster.name, missing)), True
                refusal = (
                    f"{FLAG}: {names} did not come within {seconds:.0f} s; start the same command there, or "
                    "raise --workers_wait_seconds"
                )
                break
            server.settimeout(0.2)
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            stack.enter_context(connection)
            try:
                said = _receive(connection, time.monotonic() + _PATIENCE)
                number, theirs = int(said["worker"]), dict(said["told"])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # somebody else
            refusal = _difference(cluster, number, theirs, told)
            if number in present:
                present.pop(number).close()  # it was started again meanwhile
            present[number] = connection
        for connection in present.values():
            with contextlib.suppress(OSError):
                _send(connection, {"refusal": refusal, "lost": lost})
    if refusal:
        raise _error(refusal, lost)


def _answer(cluster, told, deadline, seconds):
    """Run the side of the other workers: connect to the chief and wait for the outcome.

    Raises:
        UserError: the chief refuses.
        LostWorkerError: the chief does not answer in time, or another worker does not come.
    """
    heard = f"{cluster.name(0)} does not answer"
    while time.monotonic() < deadline:
        try:
            with _connected(cluster.addresses[0]) as connection:
                _send(connection, {"worker": cluster.number, "told": told})
                heard = f"{cluster.name(0)} does not say that all are there"
                # The chief itself waits no longer than this process.
                said = _receive(connection, deadline + _PATIENCE)
                refusal, lost = str(said["refusal"]), bool(said["lost"])
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.2)
            continue
        if refusal:
            raise _error(refusal, lost)
        return
    raise errors.LostWorkerError(
        f"{FLAG}: {heard}, for {seconds:.0f} s; start the same command there, or raise --workers_wait_seconds"
    )


def _error(refusal, lost):
    return errors.LostWorkerError(refusal) if lost else errors.UserError(refusal)


def _difference(cluster, number, theirs, told):
    """Return a line on the first setting in which a worker differs from the chief; "" if there is none."""
    different = sorted(name for name in {*told, *theirs} if told.get(name) != theirs.get(name))
    if not 0 < number < cluster.size:
        return (
            f"{VARIABLE}: a worker {number} came, of a cluster of {cluster.size}; give all the same cluster"
        )
    if not different:
        return ""
    name = different[0]
    return (
        f"{FLAG}: --{name} is '{told.get(name, '')}' at the chief and '{theirs.get(name, '')}' at "
        f"{cluster.name(number)}; start the same command on all"
    )


@contextlib.contextmanager
def _listening(cluster, deadline):
    """Yield a socket that listens on this worker's own port, which no other process may use.

    Raises:
        UserError: the port is not free by the deadline.
    """
    _, port = _split(cluster.addresses[cluster.number])
    while True:
        try:
            # On all of this host's addresses, of both kinds.
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            server = socket.create_server(
                ("", port), family=family, dualstack_ipv6=both, backlog=cluster.size
            )
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise errors.UserError(
                    f"{VARIABLE}: port {port} of this worker cannot be used ({error.strerror}); stop what "
                    "uses it, or name another port"
                ) from None
        time.sleep(0.2)
    with server:
        yield server


def _connected(address):
    return socket.create_connection(_split(address), timeout=_PATIENCE)


def _split(address):
    """Return (host, port) of a text HOST:PORT.

    Raises:
        ValueError: the text is not HOST:PORT.
    """
    host, colon, port = str(address).rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ValueError(f"'{address}' is not HOST:PORT")
    return host.strip("[]"), int(port)


def _send(connection, message):
    connection.sendall(f"{_MAGIC} {json.dumps(message)}\n".encode())


def _receive(connection, deadline):
    """Return one received message: a JSON object on a line.

    Raises:
        OSError: no message comes.
        ValueError: what comes is no message.
    """
    received = b""
    while not received.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no message")
        connection.settimeout(left)
        part = connection.recv(1 << 16)
        received += part
        if not part or len(received) > _LONGEST or not received.startswith(_MAGIC[: len(received)].encode()):
            raise ValueError("not a message")
    message = json.loads(received.removeprefix(_MAGIC.encode()))
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message
