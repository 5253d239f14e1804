"""Reading a user's .keras file, and saying in one line why it cannot be used."""

import pathlib

import keras

from okd_tf import errors

SUFFIX = ".keras"


def load(path):
    """The model in a .keras file, not compiled; code in the file is not run.

    Raises:
        UserError: missing, cut short, or of custom code; names the file.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.UserError(f"{path}: no such file")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, HDF5 and Keras each raise their own
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise errors.UserError(
            f"{path}: not a readable .keras file ({reason}); is it cut short, or of custom code? "
            "save a Functional model of stock layers again"
        ) from None


def shapes(path, network):
    """The shapes that a network takes and gives, without the batch; None where any size will do.

    Raises:
        UserError: it has not one input and one output; names the file.
    """
    inputs, outputs = (getattr(network, side, None) or () for side in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise errors.UserError(
            f"{path}: expected a network of one input and one output, got {len(inputs)} and {len(outputs)}; "
            "save a Functional or Sequential model that goes from an image to logits"
        )
    return tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])


def check_fits(path, network, image_shape, classes):
    """Checks that a network is a classifier for a dataset.

    Args:
        path: its file, for errors.
        network: what `load` gave.
        image_shape: (height, width, channels) that its input must take, as pixel values 0..255.
        classes: how many outputs it must have.

    Raises:
        UserError: it takes or gives something else; names the file.
    """
    takes, gives = shapes(path, network)
    if len(takes) != 3 or any(
        size not in (None, want) for size, want in zip(takes, image_shape, strict=True)
    ):
        raise errors.UserError(
            f"{path}: takes images of shape {takes}, the dataset's are {tuple(image_shape)}; "
            "use a network made for this dataset"
        )
    if gives != (classes,):
        raise errors.UserError(
            f"{path}: gives outputs of shape {gives}, the dataset has {classes} classes; "
            "use a network made for the same classes, in the same order"
        )
