"""Which workers train together, as TF_CONFIG says, and how they meet before TensorFlow is told of each other.

TensorFlow itself waits for a worker that never comes without a word, and believes whoever answers at an
address. So the chief, worker 0, first holds a roll call at its own address: all others come to it, say which
worker they are and what they were told to do, and all go on together, or none does. Nothing here needs
TensorFlow.
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
    """The workers of a run, and which of them this process is.

    Attributes:
        addresses: HOST:PORT of each, the chief's first.
        number: of this process.
        tasks: what TensorFlow calls each: (task type, index).
    """

    addresses: tuple[str, ...]
    number: int
    tasks: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self.addresses)

    def name(self, number: int) -> str:
        """A worker as people are told of it."""
        return f"worker {number} ({self.addresses[number]})"

    def unreachable(self) -> list[int]:
        """The numbers of the other workers whose address does not answer now."""
        return [number for number in range(self.size) if number != self.number and not self._answers(number)]

    def _answers(self, number: int) -> bool:
        try:
            with _connected(self.addresses[number]):
                return True
        except OSError:
            return False


def read() -> Cluster:
    """The cluster that TF_CONFIG describes.

    Raises:
        UserError: it is not set, or not a cluster of workers with this process among them.
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
    """Returns when all workers are there, told the same.

    Args:
        cluster: the workers.
        told: what each worker must be told alike, by flag.
        seconds: how long to wait for the others.

    Raises:
        UserError: this worker's port is in use, one does not come in time, or one is told something else.
    """
    deadline = time.monotonic() + seconds
    with _listening(cluster, min(deadline, time.monotonic() + PORT_SECONDS)) as server:
        if cluster.number == 0:
            _call(server, cluster, told, deadline, seconds)
            return
    _answer(cluster, told, deadline, seconds)


def _call(server, cluster, told, deadline, seconds):
    """The chief's part: keeps the connections until all have come, then tells all how it goes."""
    present: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        refusal = ""
        while len(present) < cluster.size - 1 and not refusal:
            if time.monotonic() > deadline:
                missing = [n for n in range(1, cluster.size) if n not in present]
                names = ", ".join(map(cluster.name, missing))
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
                _send(connection, {"refusal": refusal})
    if refusal:
        raise errors.UserError(refusal)


def _answer(cluster, told, deadline, seconds):
    """The part of the others: come to the chief, and wait for what it says."""
    heard = f"{cluster.name(0)} does not answer"
    while time.monotonic() < deadline:
        try:
            with _connected(cluster.addresses[0]) as connection:
                _send(connection, {"worker": cluster.number, "told": told})
                heard = f"{cluster.name(0)} does not say that all are there"
                # The chief itself waits no longer than this process.
                refusal = str(_receive(connection, deadline + _PATIENCE)["refusal"])
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.2)
            continue
        if refusal:
            raise errors.UserError(refusal)
        return
    raise errors.UserError(
        f"{FLAG}: {heard}, for {seconds:.0f} s; start the same command there, or raise --workers_wait_seconds"
    )


def _difference(cluster, number, theirs, told):
    """What a worker is told that the chief is not, in a line; "" if nothing."""
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
    """A socket on this worker's own port, which nobody else may have."""
    _, port = _split(cluster.addresses[cluster.number])
    while True:
        server = socket.socket()
        try:
            # What is left of connections of a run before is no use of the port.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("", port))
            break
        except OSError as error:
            server.close()
            if time.monotonic() > deadline:
                raise errors.UserError(
                    f"{VARIABLE}: port {port} of this worker cannot be used ({error.strerror}); stop what "
                    "uses it, or name another port"
                ) from None
        time.sleep(0.2)
    with server:
        server.listen(cluster.size)
        yield server


def _connected(address):
    return socket.create_connection(_split(address), timeout=_PATIENCE)


def _split(address):
    """HOST:PORT -> (host, port); ValueError if it is not."""
    host, colon, port = str(address).rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ValueError(f"'{address}' is not HOST:PORT")
    return host.strip("[]"), int(port)


def _send(connection, message):
    connection.sendall(f"{_MAGIC} {json.dumps(message)}\n".encode())


def _receive(connection, deadline):
    """One message: a line. OSError if none comes, ValueError if it is not one."""
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
