"""Starts the workers of a training on many hosts as processes of this one, on loopback."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time


def free_ports(count):
    """Ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def config(ports, number):
    """TF_CONFIG of a worker."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}})


class Worker:
    """A process, and what it has said so far."""

    def __init__(self, command, environment):
        """Starts it."""
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines, self.errors = [], []
        self._readers = [
            threading.Thread(target=kept.extend, args=(stream,), daemon=True)
            for kept, stream in ((self.lines, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, seconds):
        """Its exit code."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return code

    def said(self):
        """All that it has said, for a failing test to show."""
        return "".join([*self.lines, *self.errors])[-3000:]


@contextlib.contextmanager
def running(arguments, count=2):
    """Workers that run a program with these arguments; those that still do at the end are killed."""
    ports = free_ports(count)
    started = []
    try:
        for number in range(count):
            environment = {**os.environ, "TF_CONFIG": config(ports, number)}
            started.append(Worker([sys.executable, *map(str, arguments)], environment))
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            worker.wait(30)
            worker.process.stdout.close()
            worker.process.stderr.close()


def until(condition, seconds):
    """Waits until it holds; whether it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not condition():
        time.sleep(0.05)
    return bool(condition())
