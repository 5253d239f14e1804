"""Reading and writing of .keras files, without any Python code in them.

Users' files are read with a one-line error if they cannot be used. Files are written such that the same
network gives the same bytes, because networks are identified by the hash of their files: Keras itself writes
the time of saving and the memory addresses of objects into a .keras file; here both are removed.
"""

import collections
import json
import pathlib
import zipfile

import keras

from okd_tf import errors, files, memory

SUFFIX = ".keras"
_WEIGHTS = ".weights.h5"
_OF_CODE = ("Could not locate", "Python lambda")  # what Keras says of code that it has not, or does not run

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can have
_METADATA, _CONFIG = "metadata.json", "config.json"


def not_keras(path):
    """Return the message about a path that does not end as .keras files do."""
    name = pathlib.Path(path).name
    if name.lower().endswith(_WEIGHTS):
        return (
            "holds weights and no network; build the network that they are of, give it these by "
            f"model.load_weights('{name}'), and save it by model.save('{name[: -len(_WEIGHTS)]}{SUFFIX}')"
        )
    if pathlib.Path(path).suffix.lower() in (".h5", ".hdf5"):
        return (
            f"not a .keras file; make one of it by keras.saving.load_model('{pathlib.Path(path).name}', "
            f"compile=False).save('{pathlib.Path(path).stem}{SUFFIX}'), if it holds a whole model"
        )
    return "not a .keras file; save the model as one"


def load(path):
    """Return the model in a .keras file, not compiled; code in the file is not run.

    Raises:
        UserError: the file is missing, cut short, or of custom code; names the file.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.UserError(f"{path}: no such file")
    if path.suffix != SUFFIX:
        # Other suffixes make Keras read other formats, whose code it would run.
        raise errors.UserError(f"{path}: {not_keras(path)}")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, HDF5 and Keras each raise their own
        if memory.line(error):
            raise
        version, reason = _keras_version(path), _reason(path, error)
        if version.startswith("2."):
            raise errors.UserError(
                f"{path}: was saved by Keras {version}, which Keras 3 does not read; where that is "
                "installed, load it and save it as a SavedModel (model.export('mine')), and give that "
                "folder; or save its weights, build the same network in Keras 3 and load them there"
            ) from None
        raise errors.UserError(
            f"{path}: not a readable .keras file ({reason}); {_mend(path, reason)}"
        ) from None


def _keras_version(path):
    """Return the version of Keras that wrote a file, "" if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as saved:
            return str(json.loads(saved.read(_METADATA)).get("keras_version", ""))
    except Exception:  # not a zip archive, or not one of Keras's
        return ""


def _mend(path, reason):
    """Return what to do about a file that Keras does not read."""
    if not any(said in reason for said in _OF_CODE):
        return (
            "is it cut short, or of custom code? save a Functional model of stock layers again, or delete "
            "the file if a run has written it"
        )
    return (
        "it is of custom code, which is not run: where that is at hand, load it and write a SavedModel, "
        f"which needs none, by model.export('{pathlib.Path(path).stem}'), and give that folder as a teacher "
        "or student; or save a Functional model of stock layers"
    )


def _reason(path, error):
    if not zipfile.is_zipfile(path):
        return "not a zip archive"  # of which Keras says that it is not there
    # Around what went wrong, Keras puts what it was doing then.
    said = str(error).split("Exception encountered: ")[-1].strip()
    return (said.splitlines() or [type(error).__name__])[0].split(". ")[0][:200]


def save(path, model):
    """Write a model, whole or not at all; the bytes depend on its configuration and weights alone.

    Raises:
        UserError: the file system refuses.
        ValueError: the model holds Python code, which `load` would refuse.
    """
    code = [layer.name for layer in _layers(model) if isinstance(layer, keras.layers.Lambda)]
    if code:
        raise ValueError(f"{path}: layers of Python code ({', '.join(code)}) are not to be saved")
    with files.replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as saved:
            members = {name: saved.read(name) for name in saved.namelist()}
        with zipfile.ZipFile(temporary, "w") as undated:
            for name, content in members.items():
                undated.writestr(zipfile.ZipInfo(name, _DATE), _undated(name, content))


def _layers(model):
    """Yield all layers of a model, including those of models within it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _undated(name, content):
    """Return a member of a .keras file without times and addresses."""
    if name == _METADATA:
        return json.dumps(json.loads(content) | {"date_saved": "{}-{:02}-{:02}@00:00:00".format(*_DATE)})
    if name == _CONFIG:
        return json.dumps(_renumbered(json.loads(content), numbers={}))
    return content


def _renumbered(config, numbers):
    """Return a configuration whose shared objects are numbered in order, and not by their addresses."""
    if isinstance(config, list):
        return [_renumbered(value, numbers) for value in config]
    if not isinstance(config, dict):
        return config
    renumbered = {name: _renumbered(value, numbers) for name, value in config.items()}
    if "shared_object_id" in config:
        renumbered["shared_object_id"] = numbers.setdefault(config["shared_object_id"], len(numbers))
    return renumbered


def classifier(path, network, output="", declared=""):
    """Return a network of one input and one output, each one tensor: of several outputs, the named one.

    Args:
        path: its file, for errors.
        network: a model from `load`; a Functional model may have its inputs or outputs in lists or
            dictionaries.
        output: name of the output; "" if there is only one.
        declared: description of the place where the output can be named, for errors; "" if there is none.

    Raises:
        UserError: several inputs; or several outputs of which none is named, or none of this name.
    """
    if len(getattr(network, "inputs", None) or ()) != 1:
        shapes(path, network)  # which refuses it
    if type(network).__name__ != "Functional":
        if output:
            raise errors.UserError(
                f"{path}: has one output, and '{output}' is named {declared}; leave it out"
            )
        return network
    given = network.output
    named = isinstance(given, dict) and all(isinstance(one, keras.KerasTensor) for one in given.values())
    outputs = dict(given) if named else _by_names(network)
    if output and output not in outputs:
        raise errors.unknown(f"{path}: output", output, outputs)
    if not output and len(outputs) > 1:
        if not declared:
            shapes(path, network)
        raise errors.UserError(
            f"{path}: has {len(outputs)} outputs; name the one that says the class, one of "
            f"{', '.join(outputs)}, {declared}"
        )
    chosen = outputs[output] if output else next(iter(outputs.values()))
    if given is chosen and network.input is network.inputs[0]:
        return network
    return keras.Model(network.inputs[0], chosen, name=network.name)


def _by_names(network):
    """Return its different outputs by the names of their layers; further outputs of a layer get a number."""
    found, several = {}, collections.Counter()
    for name, tensor in zip(network.output_names, network.outputs, strict=True):
        if not any(tensor is other for other in found.values()):
            found[f"{name}_{several[name]}" if several[name] else name] = tensor
            several[name] += 1
    return found


def shapes(path, network):
    """Return the shapes of a network's input and output, without the batch; None for a size that may vary.

    Raises:
        UserError: the network has not one input and one output; names the file.
    """
    inputs, outputs = (getattr(network, side, None) or () for side in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise errors.UserError(
            f"{path}: expected a network of one input and one output, got {len(inputs)} and {len(outputs)}; "
            "save a Functional or Sequential model that goes from an image to logits"
        )
    return tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])


def check_fits(path, network, image_shape, classes):
    """Check that a network is a classifier for a dataset.

    Args:
        path: its file, for errors.
        network: a model from `load`.
        image_shape: (height, width, channels) that its input must accept, as pixel values 0..255.
        classes: required number of outputs.

    Raises:
        UserError: its input or output has another shape; names the file.
    """
    takes, gives = shapes(path, network)
    if len(takes) != 3 or any(
        size not in (None, want) for size, want in zip(takes, image_shape, strict=True)
    ):
        raise errors.UserError(
            f"{path}: takes images of shape {takes}, the dataset's are {tuple(image_shape)}; "
            f"{channels_last(takes, image_shape) or 'use a network made for this dataset'}"
        )
    if gives != (classes,):
        mend = "use a network made for the same classes, in the same order"
        if gives == (1,) and classes == 2:
            mend = "a backbone gives a logit for each class: end it in a Dense layer of two"
        raise errors.UserError(
            f"{path}: gives outputs of shape {gives}, the dataset has {classes} classes; {mend}"
        )


def channels_last(takes, image_shape):
    """Return what to do about a network whose images have their channels first; "" if they have not."""
    if len(takes) != 3 or takes[0] != image_shape[2] or takes[2] in (None, image_shape[2]):
        return ""
    return (
        "its channels come first: build the same network after "
        "keras.config.set_image_data_format('channels_last'), give it these weights, and save that"
    )
