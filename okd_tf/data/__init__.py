"""Datasets: named sources of labelled images, their splits, their augmented views, and batches of them.

A dataset is one function (data_dir, download) -> Source and one line below.
"""

from collections.abc import Callable

from okd_tf import errors
from okd_tf.data import cifar, digits
from okd_tf.data.examples import Source

DATASETS: dict[str, Callable[[str, bool], Source]] = {
    "digits": digits.load,
    "cifar10": cifar.load_cifar10,
    "cifar100": cifar.load_cifar100,
}


def load(name: str, data_dir: str = "", download: bool = False) -> Source:
    """Loads a dataset by its registered name.

    Args:
        name: a key of DATASETS.
        data_dir: where prepared TFDS data lies; "" is TFDS's own default folder.
        download: whether a dataset that is not prepared may be fetched over the network.

    Raises:
        UserError: unknown name, or data that is not there and may not be downloaded.
    """
    if name not in DATASETS:
        raise errors.unknown("--dataset", name, DATASETS)
    return DATASETS[name](data_dir, download)
