"""Arrays of the user: from Python, or in a file that `np.savez` has written.

In a file, arrays are called as Keras's datasets call them, x_train, y_train, x_test, y_test, or with other
keys in the place of x and y, before or after the part: train_images, train_labels, val_images. Those of `val`
and `test` may be left out, and are carved then; `class_names` may say what the labels are.
"""

import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from okd_tf import errors, memory
from okd_tf.data import damage, examples, identity, views
from okd_tf.data.request import Request

GIVEN = "arrays"  # what --dataset says of those that come from Python
PARTS = ("train", "val", "test")
_IMAGES, _LABELS = ("x", "image", "images"), ("y", "label", "labels")
_CLASS_NAMES = "class_names"

Pair = tuple[np.ndarray, np.ndarray]


def source(
    train: Pair,
    test: Pair | None = None,
    val: Pair | None = None,
    class_names: Sequence[str] = (),
    name: str = GIVEN,
    ids: Mapping[str, np.ndarray] | None = None,
    where: str = GIVEN,
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
        part: _examples(*pair, (ids or {}).get(part), len(train[0]), f"{where}: {part}")
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
    if largest >= len(names):
        raise errors.UserError(
            f"{where}: {_CLASS_NAMES} has {len(names)} names, and there is a label {largest}; "
            "name all classes"
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
    path = pathlib.Path(asked.of)
    if not asked.of or not path.is_file():
        raise errors.UserError(f"--dataset: {asked.of or 'npz'}: no such file; give one as npz:FILE.npz")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    # TypeError: a file of one array alone, as np.save writes it.
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        if memory.line(error):
            raise
        raise errors.UserError(
            f"--dataset: {path}: not a file of arrays ({damage.reason(error)}); is it cut short, or of "
            "objects? write it by np.savez"
        ) from None
    pairs, ids = {}, {}
    for part in PARTS:
        images = _found(arrays, part, (asked.image_key,) if asked.image_key else _IMAGES)
        labels = _found(arrays, part, (asked.label_key,) if asked.label_key else _LABELS)
        if images and labels:
            pairs[part] = arrays[images], arrays[labels]
        elif images or labels or part == "train":
            flag, missing = ("--label_key", "labels") if images else ("--image_key", "images")
            there = ", ".join(sorted(arrays)) or "no arrays"
            raise errors.UserError(
                f"{flag}: {path} has no {part} {missing}; it has {there}; "
                f"they are called as in x_{part}, y_{part} or {part}_images, {part}_labels"
            )
        if asked.id_key and part in pairs:
            name = _found(arrays, part, (asked.id_key,))
            if not name:
                raise errors.UserError(
                    f"--id_key: {path} has no {asked.id_key}_{part}; it has {', '.join(sorted(arrays))}"
                )
            ids[part] = arrays[name]
    return source(
        pairs["train"],
        pairs.get("test"),
        pairs.get("val"),
        list(map(_text, np.atleast_1d(arrays.get(_CLASS_NAMES, ())).tolist())),
        f"npz:{path.name}",
        ids,
        f"--dataset: {path}",
    )


def _found(arrays: Mapping[str, np.ndarray], part: str, keys: Sequence[str]) -> str:
    """What the array of a part is called; "" if there is none."""
    names = [name for key in keys for name in (f"{key}_{part}", f"{part}_{key}")]
    return next((name for name in names if name in arrays), "")


def _text(name: object) -> str:
    """A name of a class, which may be of bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _examples(
    images: np.ndarray, labels: np.ndarray, given: np.ndarray | None, most_classes: int, where: str
) -> examples.Examples:
    images = images[..., np.newaxis] if images.ndim == 3 else images
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise errors.UserError(
            f"{where} images are {images.dtype} of shape {images.shape}; give pixel values 0..255 as uint8 "
            "[examples, height, width, channels]"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise errors.UserError(
            f"{where} labels are {labels.dtype} of shape {labels.shape}, of {len(images)} images; give one "
            "whole number for each"
        )
    if labels.min() < 0:
        raise errors.UserError(f"{where} labels begin at {labels.min()}; number the classes from 0")
    if labels.max() >= most_classes:
        # Before anything is made for each class: they may be numbers of something else.
        raise errors.UserError(
            f"{where} labels go up to {labels.max()}, and there are {most_classes} training images, of each "
            "class one at least; number the classes from 0 without gaps"
        )
    try:
        ids = np.arange(len(images)) if given is None else identity.of(_plain(given), None, labels)
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
