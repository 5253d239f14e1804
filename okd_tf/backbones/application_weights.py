"""Weights of `keras.applications`: the location of the ImageNet ones, and the loading of a file of weights.

Only `fetch` downloads; call it if a download was asked for.
"""

import os
import pathlib
import warnings

import keras

from okd_tf import errors, memory
from okd_tf.backbones import graph, keras_file, prepare

NONE, IMAGENET = NAMES = "none", "imagenet"

_KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_SIDES = (128, 160, 192, 224)  # MobileNets were trained on each, and MobileNetV2 on 96 too


def file_name(application, image_shape) -> str:
    """Return Keras's name of the file of an application's ImageNet weights without top."""
    height, width, _ = image_shape
    known = height == width and height in ((96, *_SIDES) if application == "MobileNetV2" else _SIDES)
    side = height if known else 224
    lower = application.lower()
    if application == "MobileNet":
        return f"mobilenet_1_0_{side}_tf_no_top.h5"
    if application == "MobileNetV2":
        return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{side}_no_top.h5"
    for start, form in (
        ("MobileNetV3", "weights_mobilenet_v3_{}_224_1.0_float_no_top_v2.h5"),
        ("NASNet", "nasnet_{}_no_top.h5"),
        ("EfficientNetV2", "efficientnetv2-{}_notop.h5"),
        ("EfficientNet", "efficientnet{}_notop.h5"),
        ("ConvNeXt", "convnext_{}_notop.h5"),
    ):
        if application.startswith(start):
            return form.format(lower.removeprefix(start.lower()))
    return {"InceptionV3": "inception_v3", "InceptionResNetV2": "inception_resnet_v2"}.get(
        application, lower
    ) + _KERNELS


def cached(application, image_shape) -> pathlib.Path:
    """Return the path of that file in Keras's cache, whether it exists or not."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    return pathlib.Path(home) / "models" / file_name(application, image_shape)


def path(application, image_shape, weights) -> pathlib.Path | None:
    """Return the file of the requested weights, or None if none are requested.

    Raises:
        UserError: the file does not exist.
    """
    if weights == NONE:
        return None
    found = cached(application, image_shape) if weights == IMAGENET else pathlib.Path(weights)
    if found.exists():
        return found
    if weights != IMAGENET:
        raise errors.UserError(f"--weights: {found}: no such file; mend the path")
    raise errors.UserError(
        f"--weights: those of {application} for ImageNet are not in {found}; put the file there, give "
        "another by --weights=FILE, or add --download"
    )


def fetch(application, image_shape):
    """Have Keras download the ImageNet weights into its cache, unless they are there.

    Raises:
        UserError: the download fails.
    """
    if cached(application, image_shape).exists():
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that sizes differ from those it was trained on
            getattr(keras.applications, application)(
                include_top=False, weights=IMAGENET, input_shape=tuple(image_shape)
            )
    except Exception as error:  # of the network, each library has its own
        if memory.line(error):
            raise
        raise errors.UserError(
            f"--weights: those of {application} for ImageNet cannot be downloaded ({_reason(error)}); put "
            f"the file in {cached(application, image_shape)}, or give another by --weights=FILE"
        ) from None


def load(network, file, application):
    """Load the weights in a file into an application without its top.

    Args:
        network: the application.
        file: path of a .weights.h5 or .h5 file of an application without top, or of a .keras file of one with
            any top; all trained with the application's own preprocessing.
        application: its name, for errors.

    Raises:
        UserError: the file is unreadable, or of another network.
    """
    file = pathlib.Path(file)
    if file.suffix == keras_file.SUFFIX:
        given = prepare.opened(prepare.functional(file))
        _copy(file, given, network, application)
        squared = [type(layer).__name__ for layer in given.layers].count("Rescaling") > 1
    else:
        try:
            network.load_weights(file)
        except Exception as error:  # HDF5 and Keras each raise their own
            if memory.line(error):
                raise
            raise errors.UserError(
                f"--weights: {file}: not weights of {application} without its top ({_reason(error)}); use "
                "those of the same application"
            ) from None
        squared = True
    if squared:
        _divide_by_root_of_deviation(network)


def _copy(file, given, network, application):
    """Copy weights layer by layer in the order of calls; the given model may have more layers at its end.

    Raises:
        UserError: the weights of a layer have other shapes, or layers are missing.
    """
    ours, theirs = (
        list(dict.fromkeys(call.layer for call in graph.calls(model) if getattr(call.layer, "weights", None)))
        for model in (network, given)
    )
    for index, layer in enumerate(ours):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        other = theirs[index] if index < len(theirs) else None
        found = other and [tuple(weight.shape) for weight in other.weights]
        if found != shapes:
            said = f"its layer '{other.name}' has {found}" if other else "it has fewer layers"
            raise errors.UserError(
                f"--weights: {file}: is of another network than {application}, whose layer '{layer.name}' "
                f"has weights of shapes {shapes}; {said}; use weights of the same application"
            )
        layer.set_weights(other.get_weights())
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _divide_by_root_of_deviation(network):
    """Fold in the scaling layer that Keras adds to an EfficientNet with ImageNet weights only.

    That layer divides the normalised pixels by the root of the deviation once more
    (https://github.com/tensorflow/tensorflow/issues/49930); here the variance is multiplied by the deviation.
    A normalisation that never adapted is left as it is.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            if not layer.weights:
                continue  # its statistics are part of its configuration
            mean, variance, *others = layer.get_weights()
            if not (variance == 1).all():
                layer.set_weights([mean, variance * [0.229, 0.224, 0.225], *others])
                layer.finalize_state()


def _reason(error):
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # Keras first counts what cannot be loaded, and then says of one why.
    return lines[len(lines) > 1 and lines[0].startswith("A total of")][:200]
