"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), read from a prepared TFDS folder.

The order of examples on disk is shuffled and differs between preparations, so an example's id is the number
in the "id" feature, never its position.
"""

import functools
import re

import numpy as np

from okd_tf import errors, memory, quiet
from okd_tf.data import examples, views


def load(name: str, data_dir: str, download: bool) -> examples.Source:
    """Loads a CIFAR dataset through TFDS; only `download` lets TFDS touch the network."""
    # Here and not above: importing TFDS takes seconds.
    import tensorflow_datasets as tfds

    # TFDS warns of a folder that is not there, which is said better below.
    with quiet.output_held_back():
        try:
            builder = tfds.builder(name, data_dir=data_dir or None)
            prepared = builder.is_prepared()
        except Exception as error:  # TFDS raises many types for damaged descriptions of a dataset
            raise _unreadable(f"'{name}' in {data_dir or 'the folder of TFDS'}", error) from None
    if not prepared:
        if not download:
            raise errors.UserError(
                f"--data_dir: no prepared '{name}' in {builder.data_dir}; "
                "point --data_dir at a prepared TFDS folder, or allow a download with --download"
            )
        try:
            builder.download_and_prepare()
        except Exception as error:  # the network, the disk and TFDS each raise their own
            raise errors.UserError(
                f"--download: '{name}' could not be fetched ({_reason(error)}); "
                "see to the network, or point --data_dir at a prepared TFDS folder"
            ) from None
    if builder.info.file_format.value != "tfrecord":
        raise errors.UserError(
            f"--data_dir: '{name}' in {builder.data_dir} is of {builder.info.file_format.value} files, not "
            "tfrecord; prepare it in TFDS's own format, in another folder"
        )
    names = _class_names(builder)
    parts = {part: _read(builder, part, len(names)) for part in ("train", "test")}
    return examples.Source(
        name=name,
        class_names=names,
        augmentation=views.CropFlip(padding=4, flip=True),
        **parts,
    )


def _class_names(builder) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
    feature = builder.info.features["label"]
    names = tuple(feature.names)
    # Where it cannot read names, TFDS makes them up of numbers without a word.
    if len(names) != feature.num_classes or names == tuple(map(str, range(len(names)))):
        raise errors.UserError(
            f"--data_dir: {builder.data_dir}/label.labels.txt: not the names of the classes; copy or prepare "
            "that folder again"
        )
    return names


def _read(builder, part: str, classes: int) -> examples.Examples:  # type: ignore[no-untyped-def]
    import tensorflow_datasets as tfds

    what = f"'{part}' of '{builder.name}' in {builder.data_dir}"
    with quiet.output_held_back():
        try:
            columns = tfds.as_numpy(builder.as_dataset(split=part, batch_size=-1))
            ids = np.array([int(name.rsplit(b"_", 1)[-1]) for name in columns["id"]], np.int64)
            labels = columns["label"]
            if len(np.unique(ids)) < len(ids) or not 0 <= labels.min() <= labels.max() < classes:
                raise ValueError("two examples of one id, or a label of no class")
        except Exception as error:  # TFDS and TensorFlow raise many types for a damaged file
            raise _unreadable(what, error, _damaged(builder, part)) from None
    order = np.argsort(ids)
    return examples.Examples(ids[order], columns["image"][order], labels[order].astype(np.int32))


def _unreadable(what: str, error: Exception, damaged: str = "") -> Exception:
    """The error for prepared data that cannot be read; memory that ran out says so itself."""
    if memory.line(error):
        return error
    return errors.UserError(
        f"--data_dir: {what} cannot be read ({damaged or _reason(error)}); is it cut short? Delete that "
        "folder, and copy or prepare it again, as --download does"
    )


def _damaged(builder, part: str) -> str:  # type: ignore[no-untyped-def]
    """Which file of a split is damaged, and how; "" if none shows it by itself."""
    import tensorflow as tf

    for path in map(str, builder.info.splits[part].filepaths):
        try:
            if not tf.io.gfile.stat(path).length:
                return f"{path} is empty"
            for _ in tf.data.TFRecordDataset(path):
                pass
        except tf.errors.OpError as error:
            return f"{path}: {_reason(error)}"
    return ""


def _reason(error: Exception) -> str:
    # Without TensorFlow's names of nodes.
    said = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error)).strip()
    return (said.splitlines() or [type(error).__name__])[0][:200]


load_cifar10 = functools.partial(load, "cifar10")
load_cifar100 = functools.partial(load, "cifar100")
