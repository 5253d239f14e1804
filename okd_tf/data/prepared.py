"""Reading a prepared TFDS dataset: what its features are, and its splits in memory or streamed from the disk.

The order of examples on disk is shuffled and differs between preparations, so an example is known by its id
and never by its position: by the "id" feature where there is one, else by what it shows.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from okd_tf import errors, progress
from okd_tf.data import content, damage, examples, identity, index, streamed
from okd_tf.data.request import Request

FORMATS = ("tfrecord", "array_record")
BATCH = 256  # examples decoded together

Builder = Any  # tfds.core.DatasetBuilder; importing TFDS takes seconds


@dataclasses.dataclass(frozen=True)
class Keys:
    """Which features of a dataset are taken; `id` is "" where examples are known by what they show."""

    image: str
    label: str
    id: str


class Prepared:
    """A prepared dataset with what is taken of it.

    Attributes:
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

    def split(self, asked: str, usual: tuple[str, ...], flag: str) -> str:
        """The split that is asked for, or the first of the usual ones that is there; "" if none is.

        Raises:
            UserError: what is asked for is not there.
        """
        there = list(self.builder.info.splits)
        if asked and asked not in there:
            raise errors.UserError(
                f"{flag}: {self.what} has no split '{asked}'; give one of {', '.join(sorted(there))}"
            )
        return asked or next((name for name in usual if name in there), "")

    def decoded(self, split: str) -> Iterator[tuple[Any, np.ndarray, int]]:
        """(id or None, pixels uint8 [height, width, channels], label) of each, in the order on disk.

        Raises:
            UserError: damaged files, or images that cannot be decoded.
        """
        found = self._decoded(split).as_numpy_iterator()
        while True:
            # Not within `reading`: between two examples others work, and may never ask for the next.
            try:
                example = next(found)
            except StopIteration:
                return
            except tf.errors.OpError as error:
                raise self.reading(split).unreadable(error) from None
            yield example.get(self.keys.id), example[self.keys.image], int(example[self.keys.label])

    def read(self, split: str) -> examples.Examples:
        """All examples of a split, in memory; images must be of one size.

        Raises:
            UserError: damaged files; names dataset, split and where it is seen the file.
        """
        with self.reading(split):
            columns: dict[str, list[np.ndarray]] = {}
            for batch in self._batches(split, "images read"):
                for key, values in batch.items():
                    columns.setdefault(key, []).append(values)
            if sum(map(len, columns.get(self.keys.label, []))) != self.images(split):
                raise ValueError("some examples are missing")
            # Taken out, so that batches and the whole are not in memory longer than they must.
            images = np.concatenate(columns.pop(self.keys.image))
            labels = np.concatenate(columns[self.keys.label]).astype(np.int32)
            given = np.concatenate(columns[self.keys.id]) if self.keys.id else None
            self._check_labels(split, labels)
            ids = self._identified(given, None if self.keys.id else content.fingerprints(images), labels)
        rank = np.argsort(ids)
        return examples.Examples(ids[rank], images[rank], labels[rank])

    def stream(self, split: str, asked: Request) -> examples.Examples:
        """All examples of a split, whose images stay on the disk: of ArrayRecord files, and of one size.

        Raises:
            UserError: as `read`.
        """
        paths = self.paths(split)
        known = index.of(asked, paths, repr((self.keys, self.image_shape)), lambda: self._index(split))
        rank = np.argsort(known.ids)
        images = streamed.Streamed(
            streamed.Records(paths),
            self._decode_image(),
            self.image_shape,
            rank,
            known.fingerprints[rank],
            known.moments[rank],
        )
        return examples.Examples(known.ids[rank], images, known.labels[rank])

    def ids(self, split: str) -> np.ndarray:
        """int64 [examples], in the order of the records; where examples have no id, all images are read."""
        with self.reading(split):
            if self.keys.id:
                batches = self._decoded(split, self.keys.id).batch(BATCH).as_numpy_iterator()
                given = np.concatenate([batch[self.keys.id] for batch in batches])
                return self._identified(given, None, np.zeros(0, np.int32))
            labels, prints = [], []
            for _, image, label in self.decoded(split):
                labels.append(label)
                prints.append(content.fingerprints(image[np.newaxis])[0])
            return self._identified(None, np.array(prints), np.array(labels, np.int32))

    def _index(self, split: str) -> index.Index:
        """What is known of a split's images in the order of its records; reads all of them."""
        with self.reading(split):
            columns: dict[str, list[np.ndarray]] = {
                name: [] for name in ("ids", "labels", "prints", "moments")
            }
            for batch in self._batches(split, "images looked at, once"):
                images = batch[self.keys.image]
                columns["ids"].append(batch[self.keys.id] if self.keys.id else np.zeros(0))
                columns["labels"].append(batch[self.keys.label].astype(np.int32))
                columns["prints"].append(content.fingerprints(images))
                columns["moments"].append(content.moments(images))
            ids, labels, prints, moments = map(np.concatenate, columns.values())
            self._check_labels(split, labels)
            known = self._identified(ids if self.keys.id else None, prints, labels)
            return index.Index(known, labels, prints, moments)

    def _identified(
        self, given: np.ndarray | None, prints: np.ndarray | None, labels: np.ndarray
    ) -> np.ndarray:
        """The ids of examples, as `identity.of` gives them."""
        try:
            if given is not None and given.ndim > 1:
                raise ValueError(f"each is an array of shape {given.shape[1:]}")
            return identity.of(given, prints, labels)
        except (TypeError, ValueError) as error:
            raise errors.UserError(
                f"--id_key: '{self.keys.id}' of {self.what} does not tell its examples apart ({error}); name "
                "a feature of whole numbers or texts that does"
            ) from None

    def _check_labels(self, split: str, labels: np.ndarray) -> None:
        strange = labels[(labels < 0) | (labels >= len(self.class_names))]
        if len(strange):
            raise errors.UserError(
                f"--data_dir: '{split}' of {self.what} has the label {strange[0]}, which is no class; name a "
                "split with labels by --train_split, --val_split or --test_split"
            )

    def _batches(self, split: str, what: str) -> Iterator[dict[str, np.ndarray]]:
        """All examples, some at a time in the order on disk; says now and then how many there were."""
        count = progress.Count(f"data: {self.builder.name}, {split}", self.images(split), what)
        for batch in self._decoded(split).batch(BATCH).as_numpy_iterator():
            yield batch
            count.add(len(batch[self.keys.label]))

    def _decoded(self, split: str, *names: str):  # type: ignore[no-untyped-def]
        """tf.data of a split's examples, in the order on disk: of these features, or all that are taken."""
        wanted = self._features(*(names or (key for key in dataclasses.astuple(self.keys) if key)))
        return self._serialized(split).map(
            tf.autograph.experimental.do_not_convert(wanted.deserialize_example),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _serialized(self, split: str):  # type: ignore[no-untyped-def]
        """tf.data of the records of a split, in the order on disk."""
        paths = self.paths(split)
        if self.format == "tfrecord":
            return tf.data.TFRecordDataset(paths)
        records = streamed.Records(paths)
        count = len(records)

        def chunk(start: tf.Tensor) -> tf.Tensor:
            rows = tf.range(start, tf.minimum(start + BATCH, count))
            return tf.ensure_shape(tf.numpy_function(records.read, [rows], tf.string), [None])

        starts = tf.data.Dataset.range(0, count, BATCH)
        return starts.map(chunk, num_parallel_calls=2, deterministic=True).unbatch()

    def _decode_image(self):  # type: ignore[no-untyped-def]
        feature = self._features(self.keys.image)
        return lambda serialized: feature.deserialize_example(serialized)[self.keys.image]

    def _features(self, *names: str):  # type: ignore[no-untyped-def]
        import tensorflow_datasets as tfds

        return tfds.decode.PartialDecoding(dict.fromkeys(names, True)).extract_features(
            self.builder.info.features
        )

    def paths(self, split: str) -> list[str]:
        """The files of a split, in their order."""
        return [str(path) for path in self.builder.info.splits[split].filepaths]

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
        if asked.id_key and asked.id_key not in there:
            raise errors.UserError(
                f"--id_key: {self.what} has no feature '{asked.id_key}'; give one of {', '.join(there)}"
            )
        return Keys(image, label, asked.id_key or ("id" if "id" in there else ""))

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

    def reading(self, split: str) -> damage.Reading:
        """Within, what fails is said of a split, and TFDS prints nothing."""
        paths = self.paths(split) if self.format == "tfrecord" else []
        return damage.Reading(f"'{split}' of {self.what}", paths)


def _chosen(asked: str, usual: str, there: list[str], flag: str, kind: str, what: str) -> str:
    """The feature that is asked for, or the usual one, or the only one."""
    name = asked or (usual if usual in there or len(there) != 1 else there[0])
    if name not in there:
        listed = f"it has {', '.join(sorted(there))}" if there else "it has none"
        raise errors.UserError(
            f"{flag}: {what} has no {kind} '{name}'; {listed}{'; name one of these' if there else ''}"
        )
    return name
