"""TF_CONFIG is read or refused in a line; the roll call lets all workers through, or none."""

import concurrent.futures
import json
import socket
import time

import pytest
import workers

from okd_tf import errors
from okd_tf.training import cluster

TOLD = {"batch_size": "128", "seed": "0"}


def _read(monkeypatch, described):
    monkeypatch.setenv("TF_CONFIG", described if isinstance(described, str) else json.dumps(described))
    return cluster.read()


def _of(ports, number):
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    return cluster.Cluster(addresses, number, tuple(("worker", index) for index in range(len(ports))))


def _meet(ports, told, seconds=20.0):
    """What each of these workers, {number: what it is told}, hears: None, or why it may not go on."""

    def call(number):
        try:
            cluster.roll_call(_of(ports, number), told[number], seconds)
        except errors.UserError as error:
            return str(error)
        return None

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(told, pool.map(call, told), strict=True))


def test_a_chief_is_the_first_of_all_workers(monkeypatch):
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    second = _read(monkeypatch, {"cluster": jobs, "task": {"type": "worker", "index": 1}})
    assert second.addresses == ("c:3", "a:1", "b:2")
    assert (second.number, second.size) == (2, 3)
    assert second.name(0) == "worker 0 (c:3)"
    chief = _read(monkeypatch, {"cluster": jobs, "task": {"type": "chief", "index": 0}})
    assert chief.number == 0


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("", "TF_CONFIG is not set"),
        ("{", "is not what it must be"),
        ("[]", "is not what it must be"),
        ({"cluster": {"worker": ["a:1"]}}, "has no 'task'"),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}, "has no 'index'"),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, "'a' is not HOST:PORT"),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}, "'worker' 1, and the"),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}, "type 'ps'"),
        (
            {"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}},
            "type 'ps'",
        ),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "a:1 twice"),
        ({"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}, "2 chiefs"),
    ],
)
def test_what_is_not_a_cluster_of_workers_is_refused_in_a_line(monkeypatch, described, said):
    with pytest.raises(errors.UserError) as refusal:
        _read(monkeypatch, described)
    assert said in str(refusal.value)
    assert "TF_CONFIG" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_workers_that_are_told_the_same_all_go_on_and_leave_their_ports():
    ports = workers.free_ports(3)
    assert _meet(ports, dict.fromkeys(range(3), TOLD)) == {0: None, 1: None, 2: None}
    for port in ports:
        with socket.socket() as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(("", port))


def test_a_worker_that_is_told_something_else_keeps_all_from_going_on():
    heard = _meet(workers.free_ports(2), {0: TOLD, 1: TOLD | {"batch_size": "64"}})
    assert heard[0] == heard[1]
    assert "--batch_size is '128' at the chief and '64' at worker 1" in heard[0]


def test_a_worker_that_does_not_come_is_named():
    heard = _meet(workers.free_ports(3), {0: TOLD, 1: TOLD}, seconds=1.0)
    assert "worker 2 (127.0.0.1" in heard[0]
    assert "within 1 s" in heard[0]
    assert "worker 0 (127.0.0.1" in heard[1] or heard[1] == heard[0]


def test_a_chief_that_does_not_come_is_named():
    heard = _meet(workers.free_ports(2), {1: TOLD}, seconds=0.5)
    assert "worker 0 (127.0.0.1" in heard[1]
    assert "does not answer, for 0 s" in heard[1] or "does not answer, for 1 s" in heard[1]


def test_a_port_in_use_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "PORT_SECONDS", 0.3)
    ports = workers.free_ports(2)
    with socket.socket() as other:
        other.bind(("", ports[1]))
        other.listen()
        heard = _meet(ports, {1: TOLD}, seconds=5.0)
    assert f"port {ports[1]} of this worker cannot be used" in heard[1]


def test_who_is_no_worker_is_not_counted():
    ports = workers.free_ports(2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        met = pool.submit(_meet, ports, {0: TOLD})

        def connected():
            try:
                return socket.create_connection(("127.0.0.1", ports[0]), timeout=1)
            except OSError:
                return None

        deadline = time.monotonic() + 10
        while (stranger := connected()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        with stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert _meet(ports, {1: TOLD}) == {1: None}
        assert met.result() == {0: None}


def test_the_workers_that_do_not_answer_are_found():
    ports = workers.free_ports(3)
    with socket.socket() as there:
        there.bind(("127.0.0.1", ports[1]))
        there.listen()
        assert _of(ports, 0).unreachable() == [2]
