"""Reading a prepared TFDS dataset: its splits in memory, or streamed from the disk.

The order of examples on disk is shuffled and differs between preparations, so an example is known by its id
and never by its position: by the "id" feature where there is one, else by what it shows.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from okd_tf import errors, progress
from okd_tf.data import content, damaged, examples, identity, index, streamed
from okd_tf.sources import catalogue
from okd_tf.sources.request import Request

BATCH = 256  # examples decoded together


class Prepared:
    """Reads a prepared dataset."""

    def __init__(self, entry: catalogue.Entry):
        """Takes what is read, and of which features."""
        self._entry, self._keys = entry, entry.keys

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
            yield example.get(self._keys.id), example[self._keys.image], int(example[self._keys.label])

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
            if sum(map(len, columns.get(self._keys.label, []))) != self._entry.images(split):
                raise ValueError("some examples are missing")
            # Taken out, so that batches and the whole are not in memory longer than they must.
            images = np.concatenate(columns.pop(self._keys.image))
            labels = np.concatenate(columns[self._keys.label]).astype(np.int32)
            self._check_labels(split, labels)
            if self._keys.id:
                ids = self._given(np.concatenate(columns[self._keys.id]))
            else:
                ids = identity.shown(content.fingerprints(images), labels)
        rank = np.argsort(ids)
        return examples.Examples(ids[rank], images[rank], labels[rank])

    def stream(self, split: str, asked: Request) -> examples.Examples:
        """All examples of a split, whose images stay on the disk: of ArrayRecord files, and of one size.

        Raises:
            UserError: as `read`.
        """
        paths = self._entry.paths(split)
        taken = repr((self._keys, self._entry.image_shape))
        known = index.of(asked, paths, taken, lambda: self._index(split))
        rank = np.argsort(known.ids)
        images = streamed.Streamed(
            streamed.Records(paths),
            self._decode_image(),
            self._entry.image_shape,
            rank,
            known.fingerprints[rank],
            known.moments[rank],
            known.thumbnails[rank],
        )
        return examples.Examples(known.ids[rank], images, known.labels[rank])

    def ids(self, split: str) -> np.ndarray:
        """int64 [examples], in the order of the records; where examples have no id, all images are read."""
        with self.reading(split):
            if self._keys.id:
                batches = self._decoded(split, self._keys.id).batch(BATCH).as_numpy_iterator()
                return self._given(np.concatenate([batch[self._keys.id] for batch in batches]))
            labels, prints = [], []
            for _, image, label in self.decoded(split):
                labels.append(label)
                prints.append(content.fingerprints(image[np.newaxis])[0])
            return identity.shown(np.array(prints), np.array(labels, np.int32))

    def _index(self, split: str) -> index.Index:
        """What is known of a split's images in the order of its records; reads all of them."""
        with self.reading(split):
            columns: dict[str, list[np.ndarray]] = {
                name: [] for name in ("ids", "labels", "prints", "moments", "thumbnails")
            }
            for batch in self._batches(split, "images looked at, once"):
                images = batch[self._keys.image]
                columns["ids"].append(batch[self._keys.id] if self._keys.id else np.zeros(0))
                columns["labels"].append(batch[self._keys.label].astype(np.int32))
                columns["prints"].append(content.fingerprints(images))
                columns["moments"].append(content.moments(images))
                columns["thumbnails"].append(content.thumbnails(images))
            ids, labels, prints, moments, thumbnails = map(np.concatenate, columns.values())
            self._check_labels(split, labels)
            known = self._given(ids) if self._keys.id else identity.shown(prints, labels)
            return index.Index(known, labels, prints, moments, thumbnails)

    def _given(self, names: np.ndarray) -> np.ndarray:
        """The ids of examples by their own names, as `identity.given` has them."""
        try:
            if names.ndim > 1:
                raise ValueError(f"each is an array of shape {names.shape[1:]}")
            return identity.given(names)
        except (TypeError, ValueError) as error:
            raise errors.UserError(
                f"--id_key: '{self._keys.id}' of {self._entry.what} does not tell its examples apart "
                f"({error}); name a feature of whole numbers or texts that does, or {catalogue.NO_ID}, to "
                "tell them apart by what they show"
            ) from None

    def _check_labels(self, split: str, labels: np.ndarray) -> None:
        strange = labels[(labels < 0) | (labels >= len(self._entry.class_names))]
        if len(strange):
            raise errors.UserError(
                f"--data_dir: '{split}' of {self._entry.what} has the label {strange[0]}, which is no class; "
                "name a split with labels by --train_split, --val_split or --test_split"
            )

    def _batches(self, split: str, what: str) -> Iterator[dict[str, np.ndarray]]:
        """All examples, some at a time in the order on disk; says now and then how many there were."""
        count = progress.Count(f"data: {self._entry.builder.name}, {split}", self._entry.images(split), what)
        for batch in self._decoded(split).batch(BATCH).as_numpy_iterator():
            yield batch
            count.add(len(batch[self._keys.label]))

    def _decoded(self, split: str, *names: str):  # type: ignore[no-untyped-def]
        """tf.data of a split's examples, in the order on disk: of these features, or all that are taken."""
        wanted = self._features(*(names or (key for key in dataclasses.astuple(self._keys) if key)))
        return self._serialized(split).map(
            tf.autograph.experimental.do_not_convert(wanted.deserialize_example),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _serialized(self, split: str):  # type: ignore[no-untyped-def]
        """tf.data of the records of a split, in the order on disk."""
        paths = self._entry.paths(split)
        if self._entry.format == "tfrecord":
            return tf.data.TFRecordDataset(paths)
        records = streamed.Records(paths)
        count = len(records)

        def chunk(start: tf.Tensor) -> tf.Tensor:
            rows = tf.range(start, tf.minimum(start + BATCH, count))
            return tf.ensure_shape(tf.numpy_function(records.read, [rows], tf.string), [None])

        starts = tf.data.Dataset.range(0, count, BATCH)
        return starts.map(chunk, num_parallel_calls=2, deterministic=True).unbatch()

    def _decode_image(self):  # type: ignore[no-untyped-def]
        feature = self._features(self._keys.image)
        return lambda serialized: feature.deserialize_example(serialized)[self._keys.image]

    def _features(self, *names: str):  # type: ignore[no-untyped-def]
        import tensorflow_datasets as tfds

        return tfds.decode.PartialDecoding(dict.fromkeys(names, True)).extract_features(
            self._entry.builder.info.features
        )

    def reading(self, split: str) -> damaged.Reading:
        """Within, what fails is said of a split, and TFDS prints nothing."""
        paths = self._entry.paths(split) if self._entry.format == "tfrecord" else []
        return damaged.Reading(f"'{split}' of {self._entry.what}", paths)
