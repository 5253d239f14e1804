"""Images that stay on the disk, in ArrayRecord files, and are read by their rows as they are wanted.

Where code indexes images, these can stand for an array in memory: `images[rows]` is one.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from okd_tf import errors, memory

CHUNK = 512  # images decoded at a time, where many are read


class Records:
    """The records of ArrayRecord files, in the order of the files; any of them at any time, by any thread."""

    def __init__(self, paths: Sequence[str]):
        """Takes the files; they are opened when the first record is read."""
        self.paths = tuple(paths)

    @functools.cached_property
    def _source(self):  # type: ignore[no-untyped-def]
        from array_record.python import array_record_data_source

        return array_record_data_source.ArrayRecordDataSource(list(self.paths))

    def __len__(self) -> int:
        return len(self._source)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The records at these positions: int64 [rows] -> bytes [rows].

        Raises:
            UserError: a file is missing or damaged.
        """
        try:
            return np.array(self._source.__getitems__(rows.tolist()), dtype=object)
        except Exception as error:  # the library raises its own for what is missing, cut short or changed
            if memory.line(error):
                raise
            raise errors.UserError(
                f"{self.paths[0]}{' and others' if len(self.paths) > 1 else ''}: cannot be read "
                f"({(str(error).strip().splitlines() or [type(error).__name__])[0][:160]}); delete the "
                "folder, and prepare it again"
            ) from None


class Streamed:
    """Images of records; what is known of them without reading one is given with them.

    Attributes:
        shape: (images, height, width, channels).
        fingerprints: uint8 [images, content.FINGERPRINT_BYTES].
        moments: int64 [images, 2, channels], as `content.moments` gives it.
        thumbnails: uint8 [images, content.THUMBNAIL_SIDE**2].
    """

    def __init__(
        self,
        records: Records,
        decode: Callable[[tf.Tensor], tf.Tensor],
        image_shape: tuple[int, int, int],
        rows: np.ndarray,
        fingerprints: np.ndarray,
        moments: np.ndarray,
        thumbnails: np.ndarray,
    ):
        """Takes the records and which of them are meant.

        Args:
            records: of all.
            decode: one record, a string -> uint8 [height, width, channels]; traceable.
            image_shape: (height, width, channels).
            rows: int64 [images], positions in the records.
            fingerprints: of these.
            moments: of these.
            thumbnails: of these.
        """
        self.shape = (len(rows), *image_shape)
        self.fingerprints = fingerprints
        self.moments = moments
        self.thumbnails = thumbnails
        self._records = records
        self._decode_one = decode
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Images by a slice, positions or a mask: uint8 [images, height, width, channels]."""
        wanted = self._rows[rows]
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            images[start : start + CHUNK] = self._decoded(tf.constant(self._records.read(chunk))).numpy()
        return images

    def __iter__(self) -> Iterator[np.ndarray]:
        """One image after the other, uint8 [height, width, channels]."""
        for start in range(0, len(self), CHUNK):
            yield from self[start : start + CHUNK]

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def take(self, rows: np.ndarray) -> "Streamed":
        """Those at these positions, still on the disk."""
        known = self._rows, self.fingerprints, self.moments, self.thumbnails
        return Streamed(self._records, self._decode_one, self.shape[1:], *(each[rows] for each in known))

    def serialized(self, rows: np.ndarray) -> np.ndarray:
        """The records of those at these positions, for `decode`: int64 [rows] -> bytes [rows]."""
        return self._records.read(self._rows[rows])

    def decode(self, serialized: tf.Tensor) -> tf.Tensor:
        """Records, string [batch] -> uint8 [batch, height, width, channels]; traceable."""
        image = tf.TensorSpec(self.shape[1:], tf.uint8)
        return tf.map_fn(self._decode_one, serialized, fn_output_signature=image)

    @functools.cached_property
    def _decoded(self) -> Callable[[tf.Tensor], tf.Tensor]:
        return tf.function(self.decode, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
