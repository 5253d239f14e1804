"""The distribution strategies: the devices and hosts that a training is spread over."""

import functools
import signal

import tensorflow as tf

from okd_tf import errors, progress
from okd_tf.training import cluster, crew

DISTRIBUTIONS = ("none", "mirrored", "multi_worker")
_MEETING_SECONDS = 120.0  # how long TensorFlow may take to connect workers that are all there


def make(name, batch_size, told=None, wait_seconds=600.0):
    """Return the tf.distribute.Strategy of a name.

    "none" is one device. "mirrored" splits the batch over all local devices, "multi_worker" over the devices
    of all workers in TF_CONFIG. The last must be made before TensorFlow does anything else; it is made once a
    process, and later calls return the same strategy.

    Args:
        name: one of DISTRIBUTIONS.
        batch_size: examples in a step, over all devices together; 0 if it is derived from their number later.
        told: settings that must be equal on all workers: text by flag.
        wait_seconds: how long to wait for all workers.

    Raises:
        UserError: unknown name, a batch that does not split evenly, a wrong TF_CONFIG, a port in use, or
            workers whose settings differ.
        LostWorkerError: a worker does not come in time, or is gone before the first step.
    """
    if name not in DISTRIBUTIONS:
        raise errors.unknown("--distribution", name, DISTRIBUTIONS)
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "multi_worker":
        workers = cluster.read()
        _check_split(batch_size, workers.size, "workers")
        strategy = _multi_worker(workers, tuple(sorted((told or {}).items())), wait_seconds)
        _check_split(batch_size, strategy.num_replicas_in_sync, "devices")
        return strategy
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    _check_split(batch_size, len(devices), "devices")
    return _mirrored(tuple(device.name for device in devices))


def _check_split(batch_size, parts, what):
    if batch_size % parts:
        raise errors.UserError(
            f"--batch_size: {batch_size} does not split over {parts} {what}; use a multiple"
        )


@functools.cache
def _mirrored(devices):
    # One a process: a second one would number its collective operations from the start again, and the runtime
    # takes them for those of the first.
    return tf.distribute.MirroredStrategy(devices)


@functools.cache
def _multi_worker(workers, told, wait_seconds):
    progress.say(f"{workers.name(workers.number)} of {workers.size}: waiting for the others")
    cluster.roll_call(workers, dict(told), wait_seconds)
    if workers.number:
        progress.say(f"all are here; what is done, {workers.name(0)} says")
        progress.mute()
    try:
        strategy = crew.patiently(tf.distribute.MultiWorkerMirroredStrategy, _MEETING_SECONDS)
    except (TimeoutError, tf.errors.OpError):
        gone = ", ".join(map(workers.name, workers.unreachable())) or "another worker"
        raise errors.LostWorkerError(
            f"{gone} has gone before the first step; start the same command on all workers again"
        ) from None
    # Connecting them, TensorFlow has taken SIGTERM for itself, and would keep it from this program.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy
