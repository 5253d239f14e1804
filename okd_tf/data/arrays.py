"""Arrays of the user: from Python, or in a file of `np.savez`, whose names `sources.npz` knows."""

from collections.abc import Mapping, Sequence

import numpy as np

from okd_tf import errors, sources
from okd_tf.data import examples, identity, views
from okd_tf.sources import npz
from okd_tf.sources.request import Request

Pair = tuple[np.ndarray, np.ndarray]


def source(
    train: Pair,
    test: Pair | None = None,
    val: Pair | None = None,
    class_names: Sequence[str] = (),
    name: str = sources.GIVEN,
    ids: Mapping[str, np.ndarray] | None = None,
    where: str = sources.GIVEN,
) -> examples.Source:
    """A dataset of arrays.

    Args:
        train: images uint8 [examples, height, width] or [examples, height, width, channels], and labels,
            whole numbers [examples] or [examples, 1], from 0.
        test: likewise; None is carved from the training images.
        val: likewise.
        class_names: in the order of labels; () names them by their numbers.
        name: what results are said to be of.
        ids: by the part, whole numbers or names that tell its examples apart; their positions by default.
        where: what to call them in errors.

    Raises:
        UserError: arrays of other types or shapes, or that do not go together.
    """
    given = {"train": train, "val": val, "test": test}
    read = {
        part: _examples(
            np.asarray(pair[0]),
            np.asarray(pair[1]),
            (ids or {}).get(part),
            len(train[0]),
            f"{where}: {part}",
        )
        for part, pair in given.items()
        if pair is not None
    }
    shapes = {part: one.images.shape[1:] for part, one in read.items()}
    for part, shape in shapes.items():
        if shape != shapes["train"]:
            raise errors.UserError(
                f"{where}: {part} images are of shape {shape}, train images of {shapes['train']}; "
                "give all of one"
            )
    largest = max(int(one.labels.max()) for one in read.values())
    names = tuple(map(str, class_names)) or tuple(map(str, range(largest + 1)))
    there = np.unique(np.concatenate([one.labels for one in read.values()]))
    # Where the names are as many as the labels, or are none; of one more, the first class has no example.
    from_one = there.tolist() == list(range(1, largest + 1))
    if from_one and (not class_names or len(names) == largest):
        raise errors.UserError(
            f"{where}: labels go from 1 to {largest}; number the classes from 0: subtract 1 from the "
            "labels of all parts"
        )
    if largest >= len(names):
        raise errors.UserError(
            f"{where}: {npz.CLASS_NAMES} has {len(names)} names, and there is a label {largest}; "
            "name all classes"
        )
    if not class_names and len(there) <= largest:
        gap = int(np.setdiff1d(np.arange(largest), there)[0])
        raise errors.UserError(
            f"{where}: labels go up to {largest}, and none is {gap}; number the classes from 0 without gaps"
        )
    return examples.Source(
        name=name,
        class_names=names,
        train=read["train"],
        test=read.get("test"),
        val=read.get("val"),
        augmentation=views.usual(shapes["train"]),
    )


def load(asked: Request) -> examples.Source:
    """The dataset in the file that a name of the form npz:FILE says.

    Raises:
        UserError: no such file, not of arrays, or none that can be taken for labelled training images.
    """
    npz.look(asked)
    path = npz.path_of(asked)
    with npz.reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    parts = npz.parts(asked, arrays)
    pairs = {part: (arrays[names.images], arrays[names.labels]) for part, names in parts.items()}
    return source(
        pairs["train"],
        pairs.get("test"),
        pairs.get("val"),
        list(map(_text, np.atleast_1d(arrays.get(npz.CLASS_NAMES, ())).tolist())),
        f"npz:{path.name}",
        {part: arrays[names.ids] for part, names in parts.items() if names.ids},
        f"--dataset: {path}",
    )


def _text(name: object) -> str:
    """A name of a class, which may be of bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _examples(
    images: np.ndarray, labels: np.ndarray, given: np.ndarray | None, most_classes: int, where: str
) -> examples.Examples:
    npz.check(images.shape, images.dtype, labels.shape, labels.dtype, where)
    images = images[..., np.newaxis] if images.ndim == 3 else images
    labels = labels.ravel()
    if labels.min() < 0:
        raise errors.UserError(f"{where} labels begin at {labels.min()}; number the classes from 0")
    if labels.max() >= most_classes:
        # Before anything is made for each class: they may be numbers of something else.
        raise errors.UserError(
            f"{where} labels go up to {labels.max()}, and there are {most_classes} training images, of each "
            "class one at least; number the classes from 0 without gaps"
        )
    try:
        ids = np.arange(len(images)) if given is None else identity.given(_plain(given))
        if len(ids) != len(images):
            raise ValueError(f"{len(ids)} of {len(images)} images")
    except ValueError as error:
        raise errors.UserError(
            f"{where} ids: {error}; give each image one of its own, a whole number or a name"
        ) from None
    order = np.argsort(ids)
    return examples.Examples(ids[order], images[order], labels[order].astype(np.int32))


def _plain(ids: np.ndarray) -> np.ndarray:
    """Whole numbers as they are, names as bytes."""
    if np.issubdtype(ids.dtype, np.integer):
        return ids
    return np.array([str(name).encode() for name in ids.ravel()], object)
