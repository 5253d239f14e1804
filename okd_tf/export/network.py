"""Make one function, pixels -> logits, of a student that is to be exported, ours or from elsewhere."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from okd_tf import errors
from okd_tf.backbones import graph, prepare
from okd_tf.data import splits as data_splits
from okd_tf.ops import precision
from okd_tf.teachers import teacher


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network for the images of a dataset.

    Attributes:
        call: pixel values 0..255, float32 [batch, height, width, channels] -> logits float32
            [batch, classes]; traceable.
        holds: what must be saved beside a graph of `call`, so that its variables are in the file.
        image_shape: (height, width, channels).
        classes: number of logits.
        sha256: of its structure and weights.
        model: the Keras model in it, whose layers are named in errors; None of a SavedModel.
    """

    call: Callable[[tf.Tensor], tf.Tensor]
    holds: Any
    image_shape: tuple[int, int, int]
    classes: int
    sha256: str
    model: keras.Model | None = None

    @functools.cached_property
    def scopes(self) -> dict[str, keras.Layer]:
        """Its layers by the scopes that their operations lie in, below that of the whole network."""
        return dict(_scopes(self.model)) if graph.is_functional(self.model) else {}


def of(student: "keras.Model | teacher.Teacher", splits: data_splits.Splits) -> Exported:
    """Return a student as it is exported: in float32, which is what TFLite's kernels compute in.

    Args:
        student: a Keras model, pixel values 0..255 -> logits; or one from elsewhere, as `teacher.read` reads
            it with `exact=True`.
        splits: the dataset.

    Raises:
        UserError: a model that does not fit the dataset.
    """
    if isinstance(student, teacher.Teacher):
        return Exported(
            student,
            student.network.holds,
            splits.image_shape,
            splits.classes,
            teacher.content_hash(student.path),
            student.network.model,
        )
    _check_fits(student, splits)
    return of_model(student, splits.image_shape)


def of_model(model: keras.Model, image_shape: "tuple[int, int, int] | None" = None) -> Exported:
    """Return a Keras model as it is exported, for images of this shape, or of the one that it takes."""
    model = precision.in_float32(model)
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return Exported(
        lambda pixels: tf.cast(model(pixels, training=False), tf.float32),
        [variable.value for variable in model.variables],
        tuple(image_shape or model.inputs[0].shape[1:]),
        model.outputs[0].shape[-1],
        digest.hexdigest(),
        model,
    )


def _check_fits(model, splits):
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise errors.UserError(
            f"export: expected a model of one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}; export a model that goes from an image to logits"
        )
    takes = tuple(model.inputs[0].shape[1:])
    sizes = zip(takes, splits.image_shape, strict=False)
    if len(takes) != 3 or any(size not in (None, wanted) for size, wanted in sizes):
        raise errors.UserError(
            f"export: the model takes images of shape {list(takes)}, {splits.name} has "
            f"{list(splits.image_shape)}; export it with the dataset it was trained on"
        )
    if tuple(model.outputs[0].shape[1:]) != (splits.classes,):
        raise errors.UserError(
            f"export: the model gives logits of shape {list(model.outputs[0].shape[1:])}, {splits.name} has "
            f"{splits.classes} classes; export it with the dataset it was trained on"
        )


def _scopes(model, prefix=""):
    """Yield (scope, layer) of all layers of a model, and of those in models within it.

    Keras enters the scope of a layer twice, and TensorFlow numbers scopes of one name: `conv2d` lies in
    `conv2d_1`, and a second layer that is called `conv2d_1` in `conv2d_1_2`.
    """
    used = set()
    for call in graph.calls(model):
        if not isinstance(call.layer, keras.layers.Layer):
            continue
        for _ in range(2):
            scope = prepare.free(call.layer.name, used)
            used.add(scope)
        yield f"{prefix}{scope}", call.layer
        if graph.is_functional(call.layer):
            yield from _scopes(call.layer, f"{prefix}{scope}/")
