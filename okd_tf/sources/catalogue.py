"""Datasets that TFDS knows: which are prepared here, and which of their features and splits are taken.

CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) are two of them; `tfds:NAME` is any other of labelled images.
"""

import dataclasses
import glob
import pathlib
import re
from typing import Any

import numpy as np

from okd_tf import errors, memory, quiet
from okd_tf.sources import damage
from okd_tf.sources.request import Request

NO_ID = "none"  # in the place of a feature: examples are known by what they show
FORMATS = ("tfrecord", "array_record")
USUAL = {  # splits that are taken, if no other part has them
    "train": ("train",),
    "test": ("test", "validation"),
    "val": ("val", "valid", "validation"),
}
# In what TFDS says where nothing is damaged, and the name alone is wrong.
_MISNAMED = re.compile(
    r"BuilderConfig \S+ not found|cannot be loaded at version [^,]+|Parsing builder name string .* failed"
)

Builder = Any  # tfds.core.DatasetBuilder


def look(asked: Request) -> None:
    """Raises UserError if it is not prepared and may not be downloaded, or has not what is asked for."""
    builder = find(asked)
    if builder.is_prepared():
        Entry(builder, asked).splits(asked)


def find(asked: Request) -> Builder:
    """The builder of a dataset, tfds:NAME or one that is called as here; without the network.

    Raises:
        UserError: no such dataset, not prepared while `asked.download` is not set, or damaged.
    """
    # Here and not above: it takes half a second, which other kinds need not pay.
    import tensorflow_datasets as tfds

    name = asked.of or asked.kind
    if asked.kind == "tfds" and not asked.of:
        raise errors.UserError(
            "--dataset: 'tfds:' names no dataset; give one as tfds:NAME or tfds:NAME/CONFIG"
        )
    if glob.escape(asked.data_dir) != asked.data_dir:
        raise errors.UserError(
            f"--data_dir: {asked.data_dir} has one of the characters [ ? *, for which TFDS takes it for a "
            "pattern; rename the folder, or make a symbolic link to it and name that"
        )
    # TFDS warns of a folder that is not there, which is said better below.
    with quiet.output_held_back():
        try:
            builder = tfds.builder(name, data_dir=asked.data_dir or None)
            is_prepared = builder.is_prepared()
        except tfds.core.registered.DatasetNotFoundError:
            raise errors.UserError(
                f"--dataset: TFDS knows no dataset '{name}', and there is none of this name in "
                f"{asked.data_dir or 'its folder'}; see tensorflow.org/datasets/catalog for names"
            ) from None
        except Exception as error:  # TFDS raises many types for damaged descriptions of a dataset
            if memory.line(error):
                raise
            misnamed = _MISNAMED.search(str(error))
            if misnamed:
                raise errors.UserError(
                    f"--dataset: '{name}' is not as TFDS names it ({misnamed[0]}); see "
                    "tensorflow.org/datasets/catalog for names and configurations"
                ) from None
            raise damage.unreadable(f"'{name}' in {asked.data_dir or 'the folder of TFDS'}", error) from None
    if not is_prepared and not asked.download:
        raise errors.UserError(
            f"--data_dir: no prepared '{name}' in {builder.data_dir}; "
            "point --data_dir at a prepared TFDS folder, or allow a download with --download"
        )
    return builder


@dataclasses.dataclass(frozen=True)
class Keys:
    """Which features of a dataset are taken; `id` is "" where examples are known by what they show."""

    image: str
    label: str
    id: str


class Entry:
    """A prepared dataset, with what is taken of it.

    Attributes:
        builder: of TFDS.
        what: dataset and folder, for errors.
        keys: of its features.
        class_names: in the order of labels.
        image_shape: (height, width, channels) of its images; None where they differ.
    """

    def __init__(self, builder: Builder, asked: Request):
        """Takes a builder of TFDS whose data is there.

        Raises:
            UserError: a format that is not read, or no features of one labelled image.
        """
        self.builder = builder
        self.what = f"'{builder.name}' in {builder.data_dir}"
        if self.format not in FORMATS:
            raise errors.UserError(
                f"--data_dir: {self.what} is of {self.format} files, not {' or '.join(FORMATS)}; "
                "prepare it in one of these, in another folder"
            )
        self.keys = self._keys(asked)
        self.class_names = self._class_names()
        self.image_shape = tuple(builder.info.features[self.keys.image].shape)

    @property
    def format(self) -> str:
        """Of its files."""
        return self.builder.info.file_format.value

    def images(self, split: str) -> int:
        """How many a split has."""
        return self.builder.info.splits[split].num_examples

    def paths(self, split: str) -> list[str]:
        """The files of a split, in their order."""
        return [str(path) for path in self.builder.info.splits[split].filepaths]

    def splits(self, asked: Request) -> dict[str, str]:
        """Which split is "train", and which "test" and "val" where there are such.

        Raises:
            UserError: what is asked for is not there, or one split is to be two of them.
        """
        wanted = {part: getattr(asked, f"{part}_split") for part in USUAL}
        chosen: dict[str, str] = {}
        for part, usual in USUAL.items():
            taken = {*wanted.values(), *chosen.values()}
            free = tuple(name for name in usual if name not in taken)
            chosen[part] = self._split(wanted[part], free, f"--{part}_split")
        chosen = {part: split for part, split in chosen.items() if split}
        if len(set(chosen.values())) < len(chosen) or "train" not in chosen:
            there = ", ".join(sorted(self.builder.info.splits))
            raise errors.UserError(
                f"--train_split, --val_split, --test_split: of {self.what} ({there}) these are "
                f"{', '.join(f'{part}={split}' for part, split in chosen.items()) or 'none'}; name different "
                "ones"
            )
        return chosen

    def _split(self, asked: str, usual: tuple[str, ...], flag: str) -> str:
        """The split that is asked for, or the first of the usual ones that is there; "" if none is."""
        there = list(self.builder.info.splits)
        if asked and asked not in there:
            raise errors.UserError(
                f"{flag}: {self.what} has no split '{asked}'; give one of {', '.join(sorted(there))}"
            )
        return asked or next((name for name in usual if name in there), "")

    def _keys(self, asked: Request) -> Keys:
        import tensorflow_datasets as tfds

        features = self.builder.info.features
        there = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}

        def of_type(kind: type) -> list[str]:
            return [name for name, feature in there.items() if isinstance(feature, kind)]

        images = [
            name
            for name in of_type(tfds.features.Image)
            if there[name].np_dtype == np.uint8 and len(there[name].shape) == 3
        ]
        image = _chosen(asked.image_key, "image", images, "--image_key", "images of bytes", self.what)
        labels = of_type(tfds.features.ClassLabel)
        label = _chosen(asked.label_key, "label", labels, "--label_key", "labels of classes", self.what)
        if asked.id_key not in {"", NO_ID, *there}:
            raise errors.UserError(
                f"--id_key: {self.what} has no feature '{asked.id_key}'; give one of {', '.join(there)}; or "
                f"{NO_ID}, to tell examples apart by what they show"
            )
        key = asked.id_key or ("id" if "id" in there else "")
        return Keys(image, label, key if key in there else "")

    def _class_names(self) -> tuple[str, ...]:
        key = self.keys.label
        feature = self.builder.info.features[key]
        path = pathlib.Path(self.builder.data_path) / f"{key}.labels.txt"
        if not path.exists():
            return tuple(map(str, range(feature.num_classes)))
        # Where it cannot read them, TFDS makes names up of numbers, without a word.
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if not len(lines) == len(feature.names) == feature.num_classes:
            raise errors.UserError(
                f"--data_dir: {path}: not the names of the classes; copy or prepare that folder again"
            )
        return tuple(feature.names)


def _chosen(asked: str, usual: str, there: list[str], flag: str, kind: str, what: str) -> str:
    """The feature that is asked for, or the usual one, or the only one."""
    name = asked or (usual if usual in there or len(there) != 1 else there[0])
    if name not in there:
        listed = f"it has {', '.join(sorted(there))}" if there else "it has none"
        raise errors.UserError(
            f"{flag}: {what} has no {kind} '{name}'; {listed}{'; name one of these' if there else ''}"
        )
    return name
