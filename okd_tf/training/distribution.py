"""Over which devices a training is spread."""

import functools

import tensorflow as tf

from okd_tf import errors

DISTRIBUTIONS = ("none", "mirrored")


def make(name, batch_size):
    """The tf.distribute.Strategy of that name: one device, or all local ones with the batch split over them.

    Raises:
        UserError: unknown name, or a batch that does not split evenly.
    """
    if name not in DISTRIBUTIONS:
        raise errors.unknown("--distribution", name, DISTRIBUTIONS)
    if name == "none":
        return tf.distribute.get_strategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if batch_size % len(devices):
        raise errors.UserError(
            f"--batch_size: {batch_size} does not split over {len(devices)} devices; use a multiple"
        )
    return _mirrored(tuple(device.name for device in devices))


@functools.cache
def _mirrored(devices):
    # One a process: a second one would number its collective operations from the start again, and the runtime
    # takes them for those of the first.
    return tf.distribute.MirroredStrategy(devices)
