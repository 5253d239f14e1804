"""One teacher: a network of the user's or of ours, whose call takes the dataset's pixels and gives logits.

All that lies between is in the call: resizing, value range, normalisation, the logarithm of probabilities,
the order of the classes. A student from elsewhere, which is evaluated or exported, is read the same way.
"""

import functools
import hashlib
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from okd_tf import errors, files, memory
from okd_tf.backbones import ending
from okd_tf.data import splits
from okd_tf.teachers import fitting, formats, manifest

PROBE = 64  # validation images that a network is tried on
LEAST_PROBABILITY = 1e-12  # what one of zero is taken for: its logarithm is finite
SAME = 1e-3  # how near probabilities by either way to the logits must be


class Teacher:
    """A network with what it takes to ask it; called, it gives logits.

    Attributes:
        path: its file or folder.
        params: how many parameters it has.
        manifest: what is declared of it.
        image_shape: (height, width, channels) of the dataset's images.
        outputs: of manifest.OUTPUTS, what the network itself gives.
        network: as its file has it.
    """

    def __init__(
        self, path, network: formats.Network, own: manifest.Manifest, data: splits.Splits, exact=False
    ):
        """Holds the network and its manifest against the dataset and tries it on validation images.

        Args:
            path: its file or folder.
            network: what is in it.
            own: what is declared of it.
            data: the dataset.
            exact: whether logits are taken from before a softmax or sigmoid at its end, where that can be,
                and not as logarithms of what it gives.

        Raises:
            UserError: it does not fit, or is not what its manifest says; names the file.
        """
        self.path = pathlib.Path(path)
        self.params = network.params
        self.manifest = own
        self.image_shape = data.image_shape
        self.network = network
        self._size = fitting.size(self.path, network, own, data)
        self._factor, self._offset = fitting.scaling(self.path, network, own, data)
        self._order = fitting.order(self.path, network, own, data)
        self._as_products = exact
        self._single = ""
        images = data.val.images[:PROBE]
        outputs = self._try(images, data.classes)
        if outputs.shape[1] == 1:
            self._single = (own.class_names or data.class_names)[1]
        self.outputs = self._gives = fitting.kind(self.path, own, outputs, network.ends_in)
        if exact or self._single:
            self._take_logits(images, outputs)

    def __call__(self, pixels, training=False):
        """Pixels float32 [batch, height, width, channels] -> logits float32 [batch, classes], traceable.

        `training` is what networks are called with; a teacher does not train.
        """
        logits = self._logits(self._raw(pixels))
        return logits if self._order is None else tf.gather(logits, self._order, axis=1)

    def _logits(self, outputs):
        """The network's outputs as logits float32 [batch, classes], in its own order of classes."""
        is_logits = self.outputs == manifest.LOGITS
        if self._single:
            other = tf.zeros_like(outputs) if is_logits else 1 - outputs
            outputs = tf.concat([other, outputs], axis=1)
        # Of sigmoids too: a softmax divides them by their sum.
        return outputs if is_logits else tf.math.log(tf.maximum(outputs, LEAST_PROBABILITY))

    def count_params(self):
        """How many parameters it has, as a Keras model says it."""
        return self.params

    def _take_logits(self, images, outputs):
        """Leaves out what makes probabilities of the network's logits, if that is the last thing it does."""
        given, end = self.network, ending.SIGMOID if self._single else ending.SOFTMAX
        if given.model is None or given.ends_in != end or self.outputs != manifest.PROBABILITIES:
            return
        before = self._logits(tf.constant(outputs))
        self.network = formats.of_logits(given)
        self.outputs = manifest.LOGITS
        # Of all that a graph can be, what it gives is the judge.
        after = self._logits(self._raw(tf.cast(images, tf.float32)))
        if np.abs(tf.nn.softmax(before) - tf.nn.softmax(after)).max() > SAME:
            self.network, self.outputs = given, manifest.PROBABILITIES

    def description(self):
        """What it gives, and how images are shown to it, in a few words."""
        parts = [f"{self.params:,} parameters", f"gives {self._gives}"]
        if self._single:
            parts[-1] += f" of one class, taken for '{self._single}'"
        if self._size != self.image_shape[:2]:
            parts.append(f"images resized to {self._size[0]}x{self._size[1]}")
        if self.manifest.channel_order == manifest.BGR:
            parts.append("channels reversed")
        if self._scales():
            parts.append("pixel values scaled")
        if self._order is not None:
            parts.append("classes put in the dataset's order")
        return ", ".join(parts)

    def declaring(self, own: manifest.Manifest, data: splits.Splits):
        """A `Teacher` of the same network of which something else is declared of pixels; it is not tried.

        Raises:
            UserError: that does not fit the network or the dataset.
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.manifest = own
        other._factor, other._offset = fitting.scaling(self.path, self.network, own, data)
        return other

    def classes(self, outputs):
        """The network's own outputs [batch, classes or 1] -> classes of the dataset, int [batch]."""
        logits = self._logits(tf.constant(outputs))
        if self._order is not None:
            logits = tf.gather(logits, self._order, axis=1)
        return logits.numpy().argmax(axis=-1)

    def output_classes(self, classes):
        """Return the dataset's class of each output of the network, int [classes]."""
        return np.arange(classes) if self._order is None else np.argsort(self._order)

    def _raw(self, pixels):
        """The network's own outputs, float32 [batch, classes]."""
        return tf.cast(self.network.call(self.shown(pixels)), tf.float32)

    def shown(self, pixels):
        """Pixels 0..255, float32 [batch, height, width, channels], as the network itself takes them."""
        if self._size != self.image_shape[:2]:
            pixels = self._resized(pixels)
        if self.manifest.channel_order == manifest.BGR:
            pixels = pixels[..., ::-1]
        if self._scales():
            pixels = pixels * self._factor + self._offset
        if self.network.dtype.is_integer:
            pixels = tf.round(pixels)
        return tf.cast(pixels, self.network.dtype)

    def _resized(self, pixels):
        if not self._as_products:
            return tf.image.resize(pixels, self._size, method="bilinear", antialias=True)
        # The same as products with two constant matrices, which TFLite has an operation for. Of flat lines: a
        # product of broadcast matrices ends the process in TensorFlow 2.21 (oneDNN, small matrices).
        rows, columns = map(_resizing, self.image_shape[:2], self._size)
        (height, width, channels), (new_height, new_width) = self.image_shape, self._size
        lines = tf.reshape(tf.transpose(pixels, [0, 3, 1, 2]), [-1, width])
        lines = tf.reshape(lines @ columns, [-1, channels, height, new_width])
        lines = tf.reshape(tf.transpose(lines, [0, 1, 3, 2]), [-1, height])
        return tf.transpose(tf.reshape(lines @ rows, [-1, channels, new_width, new_height]), [0, 3, 2, 1])

    def _scales(self):
        return np.any(self._factor != 1) or np.any(self._offset != 0)

    def _try(self, images, classes):
        try:
            outputs = self._raw(tf.cast(images, tf.float32)).numpy()
        except Exception as error:  # each operation has its own way to say that it cannot take something
            if memory.line(error):
                raise
            mend = fitting.another_size(self.path)
            if self.network.batch:
                mend = f"it was made for {self.network.batch} at once; build it without batch_size"
            raise errors.UserError(
                f"{self.path}: fails on {len(images)} images of shape "
                f"{(*self._size, self.image_shape[2])} ({_why(error)}); {mend}"
            ) from None
        if outputs.ndim and len(outputs) != len(images):
            raise errors.UserError(
                f"{self.path}: gives {len(outputs)} rows for {len(images)} images of shape "
                f"{(*self._size, self.image_shape[2])}; {fitting.another_size(self.path)}"
            )
        fits = outputs.ndim == 2 and outputs.shape[1] in (classes, *([1] if classes == 2 else []))
        if not fits:
            raise fitting.other_classes(self.path, outputs.shape[1:], classes)
        finite = np.isfinite(outputs).all(axis=1)
        if not finite.all():
            raise errors.UserError(
                f"{self.path}: gives NaN or infinite outputs on {(~finite).sum()} of {len(images)} "
                "validation images; look at its weights and at the values it takes, or leave it out"
            )
        return outputs


def _resizing(before, after):
    """Return what a line of so many pixels is multiplied by to have so many, as `tf.image.resize` does it.

    Bilinear with antialiasing: the pixels under a triangle of twice the width of the coarser of both grids,
    float32 [before, after].
    """
    scale = before / after
    centres, places = (np.arange(after) + 0.5) * scale, np.arange(before)[:, np.newaxis] + 0.5
    weights = np.maximum(0, 1 - np.abs(places - centres) / max(scale, 1))
    return (weights / weights.sum(axis=0)).astype(np.float32)


def read(path, data: splits.Splits, exact=False):
    """Reads a .keras file or a SavedModel folder, with its manifest, as a `Teacher` of a dataset.

    Args:
        path: the file or folder.
        data: the dataset.
        exact: to have the network's own kernels, and logits from before a softmax or sigmoid at its end, as
            for a student; teachers are asked by faster kernels, and of what they give logarithms are taken.

    Raises:
        UserError: it or its manifest is unreadable or does not fit; names the file.
    """
    own = manifest.read(path)
    return Teacher(path, formats.read(path, own, fused=not exact), own, data, exact)


def content_hash(path):
    """SHA-256 of a teacher: of the network's bytes alone, or if it has a manifest of the hashes of both."""
    own = manifest.path(path)
    network = _hash_as_of(path, _stamps(path))
    if not own.exists():
        return network
    return hashlib.sha256(f"{network} {files.sha256(own)}".encode()).hexdigest()


def _stamps(path):
    """What tells a file, or the files of a folder, from what was there before."""
    found = ((file, file.stat()) for file in formats.contents(path))
    return tuple((file, stat.st_ino, stat.st_size, stat.st_mtime_ns) for file, stat in found)


@functools.lru_cache(maxsize=256)
def _hash_as_of(path, stamps):
    """Large files are read once, though every stage asks for their hashes."""
    return files.sha256(path)


def copy(path, target):
    """Copies a teacher with its manifest; of links what they lead to, so that the copy needs nothing else.

    Args:
        path: its file or folder.
        target: the .keras file to write; the folder of a SavedModel has the same name without the suffix.
    """
    path, target = pathlib.Path(path), pathlib.Path(target)
    own, folder = manifest.path(path), path.is_dir()
    target = target.with_suffix("") if folder else target
    # The manifest first: a network that is there has its own beside it.
    if own.exists():
        with files.replacing(manifest.path(target)) as temporary:
            shutil.copyfile(own, temporary)
    else:
        files.remove(manifest.path(target))
    formats.contents(path)
    with files.replacing(target) as temporary:
        (shutil.copytree if folder else shutil.copyfile)(path, temporary)


def _why(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "[[" not in line]
    # Around what went wrong, Keras says in which call.
    lines = [line for line in lines if not line.startswith("Exception encountered when calling")] or lines
    if not lines:
        return type(error).__name__
    # Of what fails in a graph, where comes first and what last.
    return (lines[-1] if lines[0].startswith("Graph execution error") else lines[0])[:200]
