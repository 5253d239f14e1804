"""A list of teachers as one thing to ask: images in, every teacher's logits out."""

import pathlib

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.backbones import keras_file
from okd_tf.teachers import formats
from okd_tf.training import inference


def paths(given):
    """The .keras files and SavedModel folders that --teachers names; other folders opened in order of name.

    Raises:
        UserError: a path that is not there, or a folder without a network.
    """
    found = []
    for path in map(pathlib.Path, given):
        opened = path.is_dir() and not formats.is_saved_model(path)
        inside = formats.inside(path) if opened else [path]
        if not inside or not path.exists():
            what = "no .keras file or SavedModel in it" if opened else "no such file"
            raise errors.UserError(
                f"--teachers: {path}: {what}; name .keras files, SavedModel folders, or folders of them"
            )
        if path.is_file() and path.suffix != keras_file.SUFFIX:
            raise errors.UserError(
                f"--teachers: {path}: {keras_file.not_keras(path)}, or export it as a SavedModel"
            )
        found.extend(inside)
    return found


class Ensemble:
    """N teachers, each of which takes pixels 0..255 of the dataset's and gives logits."""

    def __init__(self, teachers):
        """Takes a list of `Teacher`."""
        self.teachers = list(teachers)
        self._predictors = [
            inference.Predictor(teacher, image_shape=teacher.image_shape) for teacher in self.teachers
        ]

    def __len__(self):
        return len(self.teachers)

    def params(self):
        """Parameter counts, one a teacher."""
        return [teacher.params for teacher in self.teachers]

    def logits(self, images):
        """Images uint8 [examples, height, width, channels] -> logits [teachers, examples, classes]."""
        return np.stack([self.one(index, images) for index in range(len(self))])

    def one(self, index, images):
        """One teacher's logits [examples, classes] for images uint8 [examples, height, width, channels]."""
        return self._predictors[index].logits(images)

    def refuse_what_is_not_finite(self, logits, ids, what):
        """Raises UserError, naming teacher and example, unless all logits are finite.

        Args:
            logits: what the teachers said, [teachers, examples, classes].
            ids: of the examples, [examples].
            what: the examples are, as "training example".
        """
        finite = np.isfinite(logits)
        if finite.all():
            return
        index, row, output = np.argwhere(~finite)[0]
        raise errors.UserError(
            f"teacher {index + 1} ({self.teachers[index].path}): logit {output} of {what} {ids[row]} is "
            f"{logits[index, row, output]} and not a finite number; leave this teacher out, or mend it"
        )

    def live(self, pixels):
        """Pixels float32 [batch, height, width, channels] -> logits [batch, teachers, classes], traceable."""
        return tf.stack([teacher(pixels) for teacher in self.teachers], axis=1)
