"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), read from a prepared TFDS folder.

The order of examples on disk is shuffled and differs between preparations, so an example's id is the number
in the "id" feature, never its position.
"""

import functools

import numpy as np

from okd_tf import errors, quiet
from okd_tf.data import examples, views


def load(name: str, data_dir: str, download: bool) -> examples.Source:
    """Loads a CIFAR dataset through TFDS; only `download` lets TFDS touch the network."""
    # Here and not above: importing TFDS takes seconds.
    import tensorflow_datasets as tfds

    # TFDS warns of a folder that is not there, which is said better below.
    with quiet.output_held_back():
        builder = tfds.builder(name, data_dir=data_dir or None)
        prepared = builder.is_prepared()
    if not prepared:
        if not download:
            raise errors.UserError(
                f"--data_dir: no prepared '{name}' in {builder.data_dir}; "
                "point --data_dir at a prepared TFDS folder, or allow a download with --download"
            )
        try:
            builder.download_and_prepare()
        except Exception as error:  # the network, the disk and TFDS each raise their own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise errors.UserError(
                f"--download: '{name}' could not be fetched ({reason}); "
                "see to the network, or point --data_dir at a prepared TFDS folder"
            ) from None
    parts = {part: _read(builder, part) for part in ("train", "test")}
    return examples.Source(
        name=name,
        class_names=tuple(builder.info.features["label"].names),
        augmentation=views.CropFlip(padding=4, flip=True),
        **parts,
    )


def _read(builder, part: str) -> examples.Examples:  # type: ignore[no-untyped-def]
    import tensorflow_datasets as tfds

    try:
        columns = tfds.as_numpy(builder.as_dataset(split=part, batch_size=-1))
    except Exception as error:  # TFDS and TensorFlow raise many types for a damaged file
        reason = str(error).splitlines()[0]
        raise errors.UserError(
            f"--data_dir: '{part}' of {builder.data_dir} cannot be read ({reason}); prepare it again"
        ) from None
    ids = np.array([int(name.rsplit(b"_", 1)[-1]) for name in columns["id"]], np.int64)
    order = np.argsort(ids)
    return examples.Examples(ids[order], columns["image"][order], columns["label"][order].astype(np.int32))


load_cifar10 = functools.partial(load, "cifar10")
load_cifar100 = functools.partial(load, "cifar100")
