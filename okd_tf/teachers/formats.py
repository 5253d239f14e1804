"""The forms in which a user's network comes: a .keras file, or the folder of a SavedModel.

Either becomes a `Network`, which says what it takes and gives and knows nothing of the dataset. Of a
SavedModel one signature is asked; its graph is run as it is, unless it writes files (`graph_ops`). It is not
to be read within the scope of a distribution strategy: its graph does not read the copies of variables made
there.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from okd_tf import errors, files, memory, quiet
from okd_tf.backbones import ending, keras_file
from okd_tf.ops import batch_norm, precision
from okd_tf.teachers import graph_ops, manifest


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as its file has it.

    Attributes:
        call: images [batch, height, width, channels] of `dtype` -> outputs [batch, classes]; traceable.
        takes: (height, width, channels), None where any will do.
        gives: how many classes; None if only a call shows it.
        dtype: of the images.
        params: how many parameters it has.
        holds: what must be saved beside a graph of `call`, so that its variables are in the file.
        model: the Keras model of a .keras file, as it is asked; None of a SavedModel.
        ends_in: what that ends in, as `ending.of` says it.
        batch: how many images it takes at once; None is any number.
    """

    call: Callable[[tf.Tensor], tf.Tensor]
    takes: tuple[int | None, ...]
    gives: int | None
    dtype: tf.DType
    params: int
    holds: Any = ()
    model: keras.Model | None = None
    ends_in: str = ending.UNKNOWN
    batch: int | None = None


def is_saved_model(path):
    """Whether a path is the folder of a SavedModel."""
    if not pathlib.Path(path).is_dir():
        return False
    with files.literal(path) as name:
        return tf.saved_model.contains_saved_model(name)


def inside(folder, pattern="*"):
    """The networks in a folder whose names match, in order of name."""
    return sorted(
        path
        for path in pathlib.Path(folder).glob(pattern)
        # Names that begin with a dot are what a killed process was still writing.
        if not path.name.startswith(".") and (path.suffix == keras_file.SUFFIX or is_saved_model(path))
    )


def contents(path):
    """The files of a network, in order of name: itself, or all that is in the folder of a SavedModel.

    A link to a file counts as that file, wherever it is. A link to a folder may lead in a circle, and what is
    no file (a pipe, a device) may never end; neither belongs in a network.

    Raises:
        UserError: such a thing, or a link that leads nowhere.
    """
    path = pathlib.Path(path)
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for one in found:
        if not one.is_file() and (one == path or one.is_symlink() or not one.is_dir()):
            where = f" (a link to {os.readlink(one)})" if one.is_symlink() else ""
            raise errors.UserError(
                f"{one}{where}: not a file; a network is a .keras file, or a SavedModel folder of files and "
                "folders: copy it with what its links lead to, as `cp -rL` does"
            )
    return [one for one in found if one.is_file()]


def read(path, own: manifest.Manifest, fused=True):
    """The `Network` of a .keras file or a SavedModel folder.

    Args:
        path: the file or folder.
        own: what is declared of it.
        fused: whether batch norms of a .keras file are computed by the fused kernel.

    Raises:
        UserError: unreadable, or nothing that can be asked about images; names the file.
    """
    if is_saved_model(path):
        return _of_saved_model(path, own)
    if own.signature != manifest.Manifest.signature:
        raise errors.UserError(
            f"{manifest.path(path)}: signature: only SavedModels have one; for a .keras file leave it out"
        )
    if pathlib.Path(path).is_dir():
        raise errors.UserError(
            f"{path}: a folder without a SavedModel in it; name a .keras file, or the folder that has "
            "saved_model.pb"
        )
    return of_model(path, keras_file.load(path), own, fused)


def of_model(path, model, own=None, fused=True):
    """The `Network` of a built Keras model, which is not trained any more; float32 if it computed in less.

    Args:
        path: its file, for errors.
        model: of one input; of several outputs its manifest names one.
        own: its manifest; None is one that declares nothing.
        fused: as of `read`.
    """
    output = own.output if own else ""
    model = keras_file.classifier(path, model, output, f'as "output" in {manifest.path(path)}')
    takes, gives = keras_file.shapes(path, model)
    if len(gives) != 1:
        raise errors.UserError(
            f"{path}: gives outputs of shape {gives}, one number a class was expected; use a classifier"
        )
    dtype = tf.as_dtype(model.inputs[0].dtype)
    model = precision.in_float32(model)
    ends_in = ending.of(model)
    if fused and isinstance(model, keras.Model) and type(model).__name__ == "Functional":
        model = batch_norm.fused_copy(model)
    model.trainable = False
    return Network(
        lambda images: model(images, training=False),
        takes,
        gives[0],
        dtype,
        params=model.count_params(),
        # Not the model: its layers would be saved under names of their own.
        holds=[variable.value for variable in model.variables],
        model=model,
        ends_in=ends_in,
        batch=model.inputs[0].shape[0],
    )


def of_logits(network):
    """The `Network` without the softmax or sigmoid that its Keras model ends in."""
    model = ending.without(network.model)
    return dataclasses.replace(
        network,
        call=lambda images: model(images, training=False),
        holds=[variable.value for variable in model.variables],
        model=model,
        ends_in=ending.LINEAR,
    )


def _of_saved_model(path, own):
    loaded = _load(path)
    signatures = loaded.signatures
    if not signatures:
        raise errors.UserError(f"{path}: a SavedModel without signatures; export the model with one")
    if own.signature not in signatures:
        raise errors.UserError(
            f"{path}: has no signature '{own.signature}', but {_described(signatures)}; "
            f'name one of them as "signature" in {manifest.path(path)}'
        )
    signature = signatures[own.signature]
    graph_ops.refuse_savers(path, signature)
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or not all(map(_is_image, inputs.values())):
        raise errors.UserError(
            f"{path}: signature '{own.signature}' does not take images alone, one input "
            f"[any, height, width, channels] of a float type or uint8; there is {_described(signatures)}; "
            f'name another as "signature" in {manifest.path(path)}, or export the model again'
        )
    if own.output and own.output not in outputs:
        raise errors.unknown(f"{manifest.path(path)}: output", own.output, outputs)
    if not own.output and len(outputs) != 1:
        raise errors.UserError(
            f"{path}: signature '{own.signature}' has {len(outputs)} outputs; name one of "
            f'{", ".join(sorted(outputs))} as "output" in {manifest.path(path)}'
        )
    output = own.output or next(iter(outputs))
    gives = outputs[output]
    if not gives.dtype.is_floating or gives.shape.rank not in (None, 2):
        raise errors.UserError(
            f"{path}: output '{output}' is {_text(gives)}, not numbers of a float type [any, classes]; there "
            f'is {_described(signatures)}; name another as "output" in {manifest.path(path)}'
        )
    ((name, images),) = inputs.items()
    return Network(
        # By way of what was loaded: signatures alone do not keep their variables.
        lambda images: loaded.signatures[own.signature](**{name: images})[output],
        tuple(images.shape[1:]),
        gives.shape[1] if gives.shape.rank else None,
        images.dtype,
        params=sum(variable.shape.num_elements() for variable in signature.variables),
        holds=loaded,
    )


def _load(path):
    with quiet.output_held_back():
        try:
            graph_ops.refuse_writers(path)
            with files.literal(path) as name:
                return tf.saved_model.load(name)
        except errors.UserError:
            raise
        except Exception as error:  # parsing, reading and op registration each raise their own
            if memory.line(error):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise errors.UserError(
                f"{path}: not a readable SavedModel ({reason}); is it cut short, or of custom operations? "
                "export the model again"
            ) from None


def _is_image(spec):
    kind = spec.dtype.is_floating or spec.dtype == tf.uint8
    return kind and spec.shape.rank == 4 and spec.shape[0] is None


def _described(signatures):
    """Signatures, each as `name(images uint8 [any, 8, 8, 1]) -> probabilities float32 [any, 10]`."""
    return "; ".join(
        f"{name}({_listed(one.structured_input_signature[1])}) -> {_listed(one.structured_outputs)}"
        for name, one in signatures.items()
    )


def _listed(specs):
    return ", ".join(f"{name} {_text(spec)}" for name, spec in sorted(specs.items()))


def _text(spec):
    if spec.shape.rank is None:
        return f"{spec.dtype.name} of any shape"
    sizes = ("any" if size is None else str(size) for size in spec.shape)
    return f"{spec.dtype.name} [{', '.join(sizes)}]"
