"""The process in which TFLite's converter works: a SavedModel in, a TFLite file out, request by request.

Its C++ ends its process on some networks (a GRU in 8 bits is a segmentation fault), which is not to end a
run. This file is run by its path and imports nothing of okd_tf; `conversion` starts it and asks it.

A request is one line of JSON on standard input:

    {"folder": path, "signature": name, "int8": true or false}

The folder has `saved_model/` and gets `network.tflite`; for 8 bits it also has `images.npy`, uint8
[examples, height, width, channels]: the ranges of all activations are those seen on them. The answer is one
line of JSON on the descriptor that standard output was: {"failed": message or null, "refused": message or
null}, of the converter, and of the runtime about its file. What either prints goes to standard error. It
leaves when its standard input ends, or when nothing was asked for a while.
"""

import json
import os
import pathlib
import select
import sys

IDLE_SECONDS = 120
SAVED_MODEL, IMAGES, NETWORK = "saved_model", "images.npy", "network.tflite"


def main():
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import numpy as np
    import tensorflow as tf
    from ai_edge_litert import interpreter as litert

    while select.select([0], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.raw.readline()
        if not line:
            return
        failed = refused = None
        try:
            request = json.loads(line)
            # Names in it are then relative, and none is a pattern.
            os.chdir(request["folder"])
            content = _converted(tf, np, request["signature"], request["int8"])
            pathlib.Path(NETWORK).write_bytes(content)
            refused = _refused(litert, np, content)
        except Exception as error:  # whatever it is, it is said where it was asked
            failed = str(error) or type(error).__name__
        print(json.dumps({"failed": failed, "refused": refused}), file=answers)


def _converted(tf, np, signature, int8):
    converter = tf.lite.TFLiteConverter.from_saved_model(SAVED_MODEL, signature_keys=[signature])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if int8:
        shown = np.load(IMAGES, allow_pickle=False)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            {"pixels": image[np.newaxis].astype(np.float32)} for image in shown
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
    return converter.convert()


def _refused(litert, np, content):
    """Return what the runtime says that cannot run a file, else None, having run it on zeros.

    A file that ends the process of who runs it is not to end that of who compares it.
    """
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        return str(error)
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
    return None


if __name__ == "__main__":
    main()
