"""A student as TFLite: one image in, logits out, on nothing but the operations of the stock runtime.

Logits and not probabilities, since at 8 bits the small probabilities of many classes round to the same
number and the order of the classes is lost; softmax does not change which class is first. Both formats take
pixel values 0..255 as they are: the int8 file's input has scale 1 and zero point 0, so a program copies the
bytes of an image into it.
"""

import math
import pathlib
import re
import tempfile

import keras
import numpy as np
import tensorflow as tf

from okd_tf import errors, files, quiet
from okd_tf.backbones import graph, prepare
from okd_tf.export import conversion, converter, network, tflite_file

SIGNATURE = "serving_default"
_COMMON = frozenset(
    (
        *("InputLayer", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization"),
        *("ReLU", "Activation", "Add", "Concatenate", "Flatten", "Reshape", "Dropout", "Rescaling"),
        *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
        *("ZeroPadding2D", "Cropping2D", "Permute", "Softmax", "Normalization"),
    )
)


def convert_float32(exported: network.Exported) -> bytes:
    """Converts with weights and arithmetic in float32.

    Args:
        exported: the network.

    Returns:
        A TFLite file: "pixels" float32 [1, height, width, channels] -> "logits" float32 [1, classes].

    Raises:
        UserError: the converter fails, or the network needs operations that the stock runtime does not have.
    """
    return _convert(exported, None)


def convert_int8(exported: network.Exported, representative_images: np.ndarray) -> bytes:
    """Converts to 8-bit integers: weights per channel, activations by observed range.

    Operations for which the runtime has no integers stay in float: `tflite_file.float_operations`.

    Args:
        exported: the network.
        representative_images: uint8 [examples, height, width, channels] of the training split; the ranges
            of all activations are the smallest and largest values seen on them.

    Returns:
        A TFLite file: "pixels" uint8 [1, height, width, channels] -> "logits" int8 [1, classes], to be read
        as (value - zero point) * scale.

    Raises:
        UserError: the converter fails, or the network needs operations that the stock runtime does not have;
            no images.
    """
    if representative_images.dtype != np.uint8 or len(representative_images) == 0:
        raise errors.UserError(
            f"int8 export: expected uint8 representative images, got {representative_images.dtype} "
            f"{list(representative_images.shape)}; give some images of the training split"
        )
    content = _convert(exported, _spanning_all_pixel_values(representative_images))
    return tflite_file.taking_bytes(content)


FORMATS = {
    "float32": lambda exported, representative_images: convert_float32(exported),
    "int8": convert_int8,
}


def _convert(exported, images):
    """Converts by way of a SavedModel: from a Keras model or a bare function, weights may get lost."""
    int8 = images is not None
    _refuse_quantized(exported, int8)
    try:
        content, refused = _in_its_process(exported, images)
    except conversion.FailedError as error:
        foreign = _operations_refused(str(error))
        if foreign:
            raise _foreign_error(foreign, int8) from error
        raise _refusal(exported, images, error) from error
    foreign = tflite_file.foreign_operations(content)
    if foreign:
        raise _foreign_error(foreign, int8)
    if refused:
        raise _refusal_of_runtime(exported, content, refused, int8)
    return content


def _refuse_quantized(exported, int8):
    """Raises UserError for layers that `model.quantize` has changed, of which the converter knows nothing."""
    found = [layer for layer in exported.scopes.values() if getattr(layer, "quantization_mode", None)]
    if found:
        names = errors.some([f"'{layer.name}'" for layer in found])
        raise errors.UserError(
            f"TFLite export: Keras has quantised {names} to {found[0].quantization_mode} (model.quantize), "
            "which TFLite's converter does not take; export the network as it was before, "
            f"{_without(int8=False)}"
        )


def _without(int8):
    """Return what to do where a file cannot be made."""
    formats = ",".join(("saved_model", *(["float32"] if int8 else [])))
    return f"or go without by --export_formats={formats}"


def _in_its_process(exported, images):
    # Batch 1 and not any: a dynamic batch leaves shape arithmetic in the file.
    pixels = tf.TensorSpec([1, *exported.image_shape], tf.float32, name="pixels")

    @tf.function(input_signature=[pixels], autograph=False)
    def serve(pixels):
        return {"logits": exported.call(pixels)}

    served = tf.Module()
    served.holds = exported.holds
    served.serve = serve
    with tempfile.TemporaryDirectory() as folder:
        with quiet.output_held_back(), files.literal(folder) as name:
            tf.saved_model.save(served, f"{name}/{converter.SAVED_MODEL}", signatures={SIGNATURE: serve})
        if images is not None:
            np.save(pathlib.Path(folder) / converter.IMAGES, images, allow_pickle=False)
        return conversion.convert(folder, SIGNATURE, int8=images is not None)


def _operations_refused(message):
    """The operations that the converter's message lists as not built in, sorted."""
    lists = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", message, flags=re.MULTILINE)
    return sorted({name.strip() for names in lists for name in names.split(",")})


def _foreign_error(operations, int8):
    return errors.UserError(
        f"TFLite export: the stock runtime has no {', '.join(operations)}; "
        f"replace the layers that use it, {_without(int8)}"
    )


def _refusal(exported, images, error):
    """Return the one line about a conversion that failed, with the layer if it can be known."""
    kind = "float32" if images is None else "int8"
    at = tflite_file.layer_of(str(error), exported.scopes) or _failing_alone(exported, images)
    where = f" at layer '{at.name}' ({type(at).__name__})" if at else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = re.sub(r"loc\(.*\): ", "", lines[0].removeprefix("<unknown>:0: error: "))[:200] if lines else ""
    return errors.UserError(
        f"TFLite export: the converter fails to make {kind} of this network{where} ({said}); replace the "
        f"layer, {_without(images is not None)}"
    )


def _refusal_of_runtime(exported, content, refused, int8):
    """Return the one line about a file that the runtime does not run."""
    constant = tflite_file.constant_layer(content, exported.scopes)
    why = f"the runtime cannot run it ({' '.join(refused.split())[:150]})"
    if constant:
        why = f"layer '{constant.name}' gives the same number for all training images, no range for 8 bits"
    kind = "int8" if int8 else "float32"
    return errors.UserError(
        f"TFLite export: {kind} of this network is of no use: {why}; mend the layer, {_without(int8)}"
    )


def _failing_alone(exported, images):
    """Return the first layer that cannot be converted by itself; None if each can.

    One layer of each kind is tried, but for those that nearly all networks have.
    """
    if not graph.is_functional(exported.model):
        return None
    kinds = {}
    for call in graph.calls(prepare.flat(exported.model)):
        is_layer = isinstance(call.layer, keras.layers.Layer) and type(call.layer).__name__ not in _COMMON
        if is_layer and len(call.inputs) == len(call.outputs) == 1 and None not in call.inputs[0][1:]:
            kinds.setdefault(type(call.layer), call)
    for call in kinds.values():
        try:
            _in_its_process(network.of_model(_alone(call, exported.image_shape)), images)
        except conversion.FailedError:
            return call.layer
    return None


def _alone(call, image_shape):
    """Return a network of pixels of this shape in which a layer gets what has the shape of its input."""
    pixels, shape = keras.Input(image_shape), call.inputs[0][1:]
    features = keras.layers.Flatten()(pixels)
    if math.prod(shape) != math.prod(image_shape):
        features = keras.layers.Dense(math.prod(shape))(features)
    features = call.layer(keras.layers.Reshape(shape)(features))
    return keras.Model(pixels, keras.layers.Flatten()(features))


def _spanning_all_pixel_values(images):
    """The images with a black and a white pixel in the first, unless these values occur already.

    The range observed at the input is then 0..255 exactly, which makes its scale 1 and its zero point 0.
    """
    if images.min() == 0 and images.max() == 255:
        return images
    images = images.copy()
    images[0, 0, 0], images[0, -1, -1] = 0, 255
    return images
