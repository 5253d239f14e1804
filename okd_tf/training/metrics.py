"""The file metrics.json: the measured figures of a trained network, read back with their types checked.

    {"params": .., "epochs": ..,
     "val": {"last": {"accuracy", "loss", "epoch"}, "best": {..}, "kept": {"how": "last|best|average", ..}},
     "test": {"accuracy", "loss", "top5_accuracy", "expected_calibration_error",
              "class_names": [classes], "per_class_accuracy": [classes], "confusion": [classes, classes],
              "right": flags of the images classified correctly, packed by `quality.packed`},
     "peer": {"val": {..}}}

Only "params" is required: networks that were not trained here have no validation figures, test figures come
last, and older files have only accuracy and loss of them. `quality` defines the test figures. "last" and
"best" are figures of the weights as trained, "kept" of those in the network's file, which are the last ones
if "kept" is missing.
"""

from typing import Any

from okd_tf import fields, files
from okd_tf.training import keeping, quality


def read(path: files.PathLike) -> dict[str, Any]:
    """Return the metrics of one network.

    Raises:
        UserError: names the file and the field that is wrong.
    """
    return _checked(fields.read(path))


def read_chain(path: files.PathLike) -> dict[str, dict[str, Any]]:
    """Return the metrics of several networks, such as assistants, by their files' names; raise as `read`."""
    found = {}
    for name, field in fields.read(path).entries().items():
        found[name] = _checked(field)
        for key in ("backbone", "sha256", "taught_by"):
            if text := field.get(key):
                text.text()
    return found


def of_validation(path: files.PathLike) -> float:
    """Return the validation accuracy of one network with its final weights; raise as `read`."""
    val = _part_of(path, "val")
    return (val.get("kept") or val["last"])["accuracy"].share()


def kept_of(val: dict[str, Any]) -> dict[str, Any]:
    """Return {"accuracy", "loss", ..} of the final weights, given the "val" of a network."""
    return val.get("kept", val["last"])


def keeps_last(val: dict[str, Any]) -> bool:
    """Return whether the final weights are those of the last epoch, given the "val" of a network."""
    return "kept" not in val or val["kept"]["how"] == "last"


def kept_in_words(val: dict[str, Any]) -> str:
    """Return a sentence on the final weights that are not the last ones, given the "val" of a network."""
    kept, last = val["kept"], f"{100 * val['last']['accuracy']:.2f} %"
    what = "the average of weights" if kept["how"] == "average" else f"the weights of epoch {kept['epoch']}"
    return f"kept: {what}, {100 * kept['accuracy']:.2f} % on validation; the last epoch has {last}"


def of_test(path: files.PathLike) -> float:
    """Return the test accuracy of one network; raise as `read`."""
    return _part_of(path, "test")["accuracy"].share()


def _part_of(path: files.PathLike, part: str) -> fields.Field:
    field = fields.read(path)
    _checked(field)
    return field[part]


def _checked(field: fields.Field) -> dict[str, Any]:
    field["params"].whole()
    if val := field.get("val"):
        field["epochs"].whole(1)
        _check_epoch(val["best"])
        _check_val(val, field)
    if test := field.get("test"):
        _check_test(test)
    if peer := field.get("peer"):
        _check_val(peer["val"], field)
    return field.value


def _check_test(field: fields.Field) -> None:
    field["accuracy"].share(), field["loss"].number()
    for name in quality.SCALARS:
        if scalar := field.get(name):
            scalar.share()
    if any(field.get(name) for name in (*quality.OF_CLASSES, quality.RIGHT)):
        count = len([name.label() for name in field["class_names"].items()])
        if not count:
            raise field["class_names"].unexpected("names of classes")
        for share in field["per_class_accuracy"].items(count):
            if share.value is not None:
                share.share()
        for row in field["confusion"].items(count):
            row.wholes(count)
        if right := field.get(quality.RIGHT):
            _check_right(right)


def _check_right(field: fields.Field) -> None:
    try:
        quality.unpacked(field.text())
    except ValueError:
        raise field.unexpected("pairs of hexadecimal digits") from None


def _check_val(val: fields.Field, whole: fields.Field) -> None:
    _check_epoch(val["last"])
    if kept := val.get("kept"):
        kept["how"].text(keeping.HOW)
        _check_epoch(kept)
        epochs = whole["epochs"].whole(1)
        if kept["epoch"].whole() > epochs:
            raise kept["epoch"].refusal(f"later than the last of {epochs}")


def _check_epoch(field: fields.Field) -> None:
    field["accuracy"].share(), field["loss"].number(), field["epoch"].whole(1)
