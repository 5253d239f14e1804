"""A student as TFLite: one image in, logits out, on nothing but the operations of the stock runtime.

Logits and not probabilities, since at 8 bits the small probabilities of many classes round to the same
number and the order of the classes is lost; softmax does not change which class is first. Both formats take
pixel values 0..255 as they are: the int8 file's input has scale 1 and zero point 0, so a program copies the
bytes of an image into it.
"""

import re
import tempfile

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from okd_tf import errors, quiet

SIGNATURE = "serving_default"


def convert_float32(model: keras.Model) -> bytes:
    """Converts with weights and arithmetic in float32.

    Args:
        model: pixel values 0..255 [batch, height, width, channels] -> logits [batch, classes].

    Returns:
        A TFLite file: "pixels" float32 [1, height, width, channels] -> "logits" float32 [1, classes].

    Raises:
        UserError: the model needs operations that the stock runtime does not have.
    """
    return _convert(model, _configure_float32)


def convert_int8(model: keras.Model, representative_images: np.ndarray) -> bytes:
    """Converts to 8-bit integers throughout: weights per channel, activations by observed range.

    Args:
        model: pixel values 0..255 [batch, height, width, channels] -> logits [batch, classes].
        representative_images: uint8 [examples, height, width, channels] of the training split; the ranges
            of all activations are the smallest and largest values seen on them.

    Returns:
        A TFLite file: "pixels" uint8 [1, height, width, channels] -> "logits" int8 [1, classes], to be read
        as (value - zero point) * scale.

    Raises:
        UserError: the model needs operations that the stock runtime does not have; no images.
    """
    if representative_images.dtype != np.uint8 or len(representative_images) == 0:
        raise errors.UserError(
            f"int8 export: expected uint8 representative images, got {representative_images.dtype} "
            f"{list(representative_images.shape)}; give some images of the training split"
        )
    images = _spanning_all_pixel_values(representative_images)

    def configure(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            {"pixels": image[np.newaxis].astype(np.float32)} for image in images
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8

    content = _convert(model, configure)
    (pixels,) = litert.Interpreter(model_content=content).get_input_details()
    if pixels["quantization"] != (1.0, 0):
        raise RuntimeError(
            f"int8 export: input has scale and zero point {pixels['quantization']}, not (1, 0)"
        )
    return content


FORMATS = {
    "float32": lambda model, representative_images: convert_float32(model),
    "int8": convert_int8,
}


def foreign_operations(content: bytes) -> list[str]:
    """The operations in a TFLite file that are not among the stock runtime's, sorted; none is []."""
    model = schema.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    return sorted(code.CustomCode().decode() for code in codes if code.CustomCode() is not None)


def _configure_float32(converter):
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]


def _convert(model, configure):
    """Converts by way of a SavedModel: from a Keras model or a bare function, weights may get lost."""
    # Batch 1 and not any: a dynamic batch leaves shape arithmetic in the file.
    pixels = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name="pixels")
    archive = keras.export.ExportArchive()
    with tempfile.TemporaryDirectory() as directory, quiet.output_held_back():
        archive.add_endpoint(SIGNATURE, lambda pixels: {"logits": model(pixels, training=False)}, [pixels])
        archive.write_out(directory, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        configure(converter)
        try:
            content = converter.convert()
        except Exception as error:
            foreign = _operations_refused(str(error))
            if not foreign:
                raise
            raise _foreign_error(foreign) from error
    foreign = foreign_operations(content)
    if foreign:
        raise _foreign_error(foreign)
    return content


def _operations_refused(message):
    """The operations that the converter's message lists as not built in, sorted."""
    lists = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", message, flags=re.MULTILINE)
    return sorted({name.strip() for names in lists for name in names.split(",")})


def _foreign_error(operations):
    return errors.UserError(
        f"TFLite export: the stock runtime has no {', '.join(operations)}; "
        "replace the layers that use it, or export the SavedModel only"
    )


def _spanning_all_pixel_values(images):
    """The images with a black and a white pixel in the first, unless these values occur already.

    The range observed at the input is then 0..255 exactly, which makes its scale 1 and its zero point 0.
    """
    if images.min() == 0 and images.max() == 255:
        return images
    images = images.copy()
    images[0, 0, 0], images[0, -1, -1] = 0, 255
    return images
