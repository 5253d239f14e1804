"""What is declared of a teacher: read as it is written, refused in one line otherwise."""

import json
import pathlib
import re

import pytest

from okd_tf import errors
from okd_tf.teachers import manifest

FULL = {
    "outputs": "logits",
    "input_size": [16, 12],
    "value_range": [-1, 1],
    "mean": [0.5, 0, -0.5],
    "std": [0.25, 1, 2],
    "class_names": ["cat", "dog"],
    "signature": "serve",
    "output": "logits",
    "held_out": {"folds": 3, "part": 1, "seed": 7, "split": "ab12"},
}


def _write(folder, value):
    (folder / "mine.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder / "mine.keras"


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ("models/a.keras", "models/a.json"),
        ("models/a.v2.keras", "models/a.v2.json"),
        ("models/saved/", "models/saved.json"),
        ("models/saved.v2", "models/saved.v2.json"),
    ],
)
def test_it_lies_beside_the_teacher_under_the_same_name(teacher, expected):
    assert manifest.path(teacher) == pathlib.Path(expected)


def test_it_is_read_as_it_is_said(tmp_path):
    found = manifest.read(_write(tmp_path, FULL))
    assert found == manifest.Manifest(
        outputs="logits",
        input_size=(16, 12),
        value_range=(-1, 1),
        mean=(0.5, 0, -0.5),
        std=(0.25, 1, 2),
        class_names=("cat", "dog"),
        signature="serve",
        output="logits",
        held_out={"folds": 3, "part": 1, "seed": 7, "split": "ab12"},
    )
    assert found.to_json() == FULL


@pytest.mark.parametrize("key", FULL)
def test_each_key_alone_goes_round(tmp_path, key):
    found = manifest.read(_write(tmp_path, {key: FULL[key]}))
    assert found.to_json() == {key: FULL[key]}
    assert manifest.read(_write(tmp_path, found.to_json())) == found


@pytest.mark.parametrize("written", [None, "{}"])
def test_without_one_or_with_an_empty_one_everything_is_as_the_dataset_has_it(tmp_path, written):
    path = _write(tmp_path, written) if written else tmp_path / "mine.keras"
    assert manifest.read(path) == manifest.Manifest()
    assert manifest.Manifest().to_json() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("outputs", value) for value in ("softmax", "", None, 1, ["logits"])),
        *(("input_size", value) for value in (16, [16], [16, 16, 3], [16, 0], [16, 16.0], [True, 16], "16")),
        *(("value_range", value) for value in ([0], [0, 1, 2], [1, 1], ["0", "1"], [0, True], 255)),
        *(("mean", value) for value in (0.5, [], ["0.5"], [None], [float("nan")], [10**400])),
        *(("std", value) for value in ([0], [-1.0], [float("inf")], [])),
        *(("class_names", value) for value in ("cat", [], [0, 1], ["cat", ""], {"0": "cat"})),
        *(("signature", value) for value in ("", 1, None, ["serve"])),
        *(("output", value) for value in ("", 0, None)),
        *(("held_out", value) for value in ([], 3, None, "yes")),
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_line_with_file_and_key(tmp_path, key, value):
    with pytest.raises(errors.UserError) as refusal:
        manifest.read(_write(tmp_path, {key: value}))
    message = str(refusal.value)
    place = re.escape(f"{tmp_path / 'mine.json'}: {key}") + r"(\[\d\])?: expected "
    assert re.match(place, message)
    assert ", got " in message
    assert "\n" not in message
    assert len(message) < 250


@pytest.mark.parametrize(("key", "nearest"), [("input_sise", "input_size"), ("Outputs", "outputs")])
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path, key, nearest):
    with pytest.raises(errors.UserError) as refusal:
        manifest.read(_write(tmp_path, {key: 1}))
    assert str(refusal.value).startswith(
        f"{tmp_path / 'mine.json'}: a key of the manifest of mine.keras: unknown name '{key}'; did you mean "
        f"{nearest}"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid JSON"),
        ('{"outputs": "logits"', "not valid JSON"),
        ("[1, 2]", "the whole file: expected an object of outputs, input_size"),
    ],
)
def test_what_is_no_object_is_refused_with_whose_manifest_it_is(tmp_path, content, said):
    with pytest.raises(errors.UserError) as refusal:
        manifest.read(_write(tmp_path, content))
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'mine.json'}: {said}")
    assert message.endswith("it is read as the manifest of mine.keras")
    assert "\n" not in message
