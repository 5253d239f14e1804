"""Whatever a .keras file holds, it is loaded or refused in one line that names it, and writes nothing."""

import io
import json
import zipfile

import hypothesis
import keras
import mutation
import pytest
from hypothesis import strategies as st

from okd_tf import errors
from okd_tf.backbones import keras_file

EXAMPLES = 300


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    inputs = keras.Input((4, 4, 1), name="pixels")
    features = keras.layers.Conv2D(1, 3, name="conv")(inputs)
    features = keras.layers.Flatten(name="flatten")(features)
    path = tmp_path_factory.mktemp("made") / "tiny.keras"
    keras.Model(inputs, keras.layers.Dense(2, name="logits")(features), name="tiny").save(path)
    return path.read_bytes()


def _with_config(content, config):
    """The same archive with another config.json."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, config if name == "config.json" else old.read(name))
    return made.getvalue()


def _config(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("config.json"))


def _try(folder, content):
    path = folder / "mine.keras"
    path.write_bytes(content)
    message = ""
    try:
        keras_file.load(path)
    except errors.UserError as error:
        message = str(error)
    if message:
        assert message.startswith(f"{path}: ")
        assert len(message.splitlines()) == 1
    assert [one.name for one in folder.iterdir()] == ["mine.keras"]
    return message


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Keras and NumPy warn of much that the file says wrong
def test_a_mutated_keras_file_is_taken_or_refused_in_one_line_that_names_it(content, tmp_path):
    refused = set()
    configs = st.one_of(
        mutation.structures(_config(content)), mutation.damages(json.dumps(_config(content)).encode())
    )

    @hypothesis.settings(max_examples=EXAMPLES, phases=[hypothesis.Phase.generate])
    @hypothesis.given(
        st.one_of(mutation.damages(content), configs.map(lambda one: _with_config(content, one)))
    )
    def fuzz(mutated):
        refused.add(bool(_try(tmp_path, mutated)))

    fuzz()
    assert refused == {True, False}


def _layer(config, name):
    (found,) = (layer for layer in config["config"]["layers"] if layer["config"]["name"] == name)
    return found


def _code(config):
    """A layer of Python bytecode that would leave a file."""
    layer = keras.layers.Lambda(lambda x: open("mine.txt", "w") and x, name="flatten")  # noqa: SIM115
    _layer(config, "flatten").update(class_name="Lambda", config=layer.get_config())


def _foreign_class(config):
    _layer(config, "flatten").update(module="os", class_name="system", registered_name=None)


def _foreign_function(config):
    _layer(config, "conv")["config"]["activation"] = {
        "module": "builtins",
        "class_name": "function",
        "config": "exec",
        "registered_name": "function",
    }


@pytest.mark.parametrize(
    ("change", "named"), [(_code, "Lambda"), (_foreign_class, "system"), (_foreign_function, "exec")]
)
def test_a_file_that_names_code_is_refused_and_runs_none(content, tmp_path, monkeypatch, change, named):
    config = _config(content)
    change(config)
    (tmp_path / "files").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    message = _try(tmp_path / "files", _with_config(content, json.dumps(config)))
    assert "not a readable .keras file" in message
    assert named in message
    assert not list((tmp_path / "cwd").iterdir())


def test_a_file_that_would_be_unpacked_elsewhere_writes_nothing(content, tmp_path):
    made = io.BytesIO(content)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("../escaped.txt", "x")
        archive.writestr(f"{tmp_path}/escaped.txt", "x")
    folder = tmp_path / "files"
    folder.mkdir()
    _try(folder, made.getvalue())
    assert [one.name for one in tmp_path.iterdir()] == ["files"]


def test_a_file_of_another_format_is_refused_by_its_suffix(content, tmp_path):
    (tmp_path / "old.h5").write_bytes(content)
    with pytest.raises(errors.UserError, match=r"old\.h5: not a \.keras file"):
        keras_file.load(tmp_path / "old.h5")


def test_a_network_with_code_is_not_written(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1, name="code")(inputs))
    with pytest.raises(ValueError, match=r"layers of Python code \(code\)"):
        keras_file.save(tmp_path / "a.keras", model)
    assert not list(tmp_path.iterdir())
