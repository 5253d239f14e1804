"""A file of arrays that `np.savez` has written: which of them are whose images and labels.

Arrays are called as Keras's datasets call them, x_train, y_train, x_test, y_test, or with other keys in the
place of x and y, before or after the part: train_images, train_labels, val_images. Those of `val` and `test`
may be left out, and are carved then; `class_names` may say what the labels are.
"""

import contextlib
import dataclasses
import pathlib
import zipfile
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from okd_tf import errors, memory
from okd_tf.sources import damage
from okd_tf.sources.request import Request

PARTS = ("train", "val", "test")
CLASS_NAMES = "class_names"
_IMAGES, _LABELS = ("x", "image", "images"), ("y", "label", "labels")
_SUFFIX = ".npy"  # of an array in the file


@dataclasses.dataclass(frozen=True)
class Names:
    """What the arrays of a part are called; `ids` is "" where examples are known by their positions."""

    images: str
    labels: str
    ids: str


def look(asked: Request) -> None:
    """Raises UserError if the file has no labelled training images; reads shapes and types alone."""
    path = path_of(asked)
    with reading(path), zipfile.ZipFile(path) as file:
        there = {name.removesuffix(_SUFFIX): name for name in file.namelist() if name.endswith(_SUFFIX)}
        for part, names in parts(asked, there).items():
            images, labels = (_header(file, there[name]) for name in (names.images, names.labels))
            check(*images, *labels, f"--dataset: {path}: {part}")


def path_of(asked: Request) -> pathlib.Path:
    """The file that a name of the form npz:FILE says.

    Raises:
        UserError: it is not there.
    """
    path = pathlib.Path(asked.of)
    if not asked.of or not path.is_file():
        raise errors.UserError(f"--dataset: {asked.of or 'npz'}: no such file; give one as npz:FILE.npz")
    return path


@contextlib.contextmanager
def reading(path: pathlib.Path) -> Iterator[None]:
    """Turns what reading a file of arrays raises, which is of many types, into one line."""
    try:
        yield
    # TypeError: a file of one array alone, as np.save writes it.
    except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile) as error:
        if memory.line(error):
            raise
        raise errors.UserError(
            f"--dataset: {path}: not a file of arrays ({damage.reason(error)}); is it cut short, or of "
            "objects? write it by np.savez"
        ) from None


def parts(asked: Request, arrays: Collection[str]) -> dict[str, Names]:
    """What the arrays of each part are called, of those that are there.

    Raises:
        UserError: there are no training images, or images without labels.
    """
    found = {}
    there = ", ".join(sorted(arrays)) or "no arrays"
    for part in PARTS:
        images = _found(arrays, part, (asked.image_key,) if asked.image_key else _IMAGES)
        labels = _found(arrays, part, (asked.label_key,) if asked.label_key else _LABELS)
        if not images and not labels and part != "train":
            continue
        if not images or not labels:
            flag, missing = ("--label_key", "labels") if images else ("--image_key", "images")
            raise errors.UserError(
                f"{flag}: {asked.of} has no {part} {missing}; it has {there}; "
                f"they are called as in x_{part}, y_{part} or {part}_images, {part}_labels"
            )
        ids = _found(arrays, part, (asked.id_key,)) if asked.id_key else ""
        if asked.id_key and not ids:
            raise errors.UserError(f"--id_key: {asked.of} has no {asked.id_key}_{part}; it has {there}")
        found[part] = Names(images, labels, ids)
    return found


def check(
    images_shape: Sequence[int],
    images_type: np.dtype,
    labels_shape: Sequence[int],
    labels_type: np.dtype,
    whose: str,
) -> None:
    """Raises UserError for arrays that cannot be images and their labels, by their shapes and types."""
    if images_type != np.uint8 or len(images_shape) not in (3, 4) or 0 in images_shape:
        raise errors.UserError(
            f"{whose} images are {images_type} of shape {tuple(images_shape)}; give pixel values 0..255 as "
            f"uint8 [examples, height, width, channels]{_pixels(images_shape, images_type)}"
        )
    if len(images_shape) == 4 and images_shape[1] in (1, 3) and images_shape[3] > 4:
        raise errors.UserError(
            f"{whose} images are of shape {tuple(images_shape)}, as if channels came first; give them as "
            "[examples, height, width, channels], by transpose(0, 2, 3, 1)"
        )
    one_each = tuple(labels_shape) in (tuple(images_shape[:1]), (images_shape[0], 1))
    if not one_each or not np.issubdtype(labels_type, np.integer):
        raise errors.UserError(
            f"{whose} labels are {labels_type} of shape {tuple(labels_shape)}, of {images_shape[0]} images; "
            f"give one whole number for each{_numbers(images_shape, labels_shape, labels_type)}"
        )


def _pixels(shape: Sequence[int], kind: np.dtype) -> str:
    """Return advice on converting images of another type to bytes; "" if the type is not the problem."""
    if len(shape) not in (3, 4):
        return ""
    if np.issubdtype(kind, np.floating):
        return (
            ": of values x from 0 to 1 (255 * x).round().astype('uint8'), from -1 to 1 (127.5 * (x + 1)), "
            "from 0 to 255 x alone"
        )
    if kind == np.uint16:
        return ": of values x of 16 bits (x // 257).astype('uint8'), of 12 bits x // 16, up to 255 x alone"
    return ": x.astype('uint8'), if they are" if np.issubdtype(kind, np.integer) else ""


def _numbers(images: Sequence[int], shape: Sequence[int], kind: np.dtype) -> str:
    """Return advice on converting labels y of another form to whole numbers; "" if none is known."""
    if len(shape) == 2 and shape[0] == images[0] and shape[1] > 1:
        return ", of one-hot rows y.argmax(axis=1)"
    if tuple(shape) not in ((images[0],), (images[0], 1)):
        return ""
    if kind.kind in "US":
        return (
            f": {CLASS_NAMES}, y = np.unique(y, return_inverse=True) has both the names and the numbers, of "
            "the labels of all parts in one call"
        )
    return ", by y.astype('int64')" if np.issubdtype(kind, np.floating) else ""


def _found(arrays: Collection[str], part: str, keys: Sequence[str]) -> str:
    """What the array of a part is called; "" if there is none."""
    names = [name for key in keys for name in (f"{key}_{part}", f"{part}_{key}")]
    return next((name for name in names if name in arrays), "")


def _header(file: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array in the file."""
    with file.open(name) as array:
        form = np.lib.format
        first = form.read_magic(array) == (1, 0)
        read = form.read_array_header_1_0 if first else form.read_array_header_2_0
        shape, _, kind = read(array)
    if kind.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    return shape, kind
