"""Nothing here runs code that comes with data: what could is not written anywhere in the program."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "okd_tf").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "imp", "yaml", "torch"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"enable_unsafe_deserialization", "unsafe_load", "system", "popen"}
REQUIRED = {
    "load_model": ("safe_mode", True),
    "load": ("allow_pickle", False),
    "savez": ("allow_pickle", False),
}
FORBIDDEN = {("allow_pickle", True), ("safe_mode", False), ("shell", True)}


def _found(text):
    """What of a source could run code from elsewhere, as "line: what"."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        yield from (f"{node.lineno}: {name}" for name in names if name in MODULES)
        if isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node):
    called = node.func
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    owner = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
    given = {
        keyword.arg: keyword.value.value
        for keyword in node.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    if (not owner and name in BUILTINS) or name in METHODS:
        yield f"{node.lineno}: {name}"
    yield from (f"{node.lineno}: {key}={value}" for key, value in given.items() if (key, value) in FORBIDDEN)
    if name in REQUIRED and (name == "load_model" or owner in ("np", "numpy")):
        key, value = REQUIRED[name]
        if given.get(key) is not value:
            yield f"{node.lineno}: {name} without {key}={value}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_runs_no_code_that_comes_with_data(path):
    assert list(_found(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import pickle", "pickle"),
        ("from pickle import load", "pickle"),
        ("import numpy, marshal as m", "marshal"),
        ("def f():\n    import yaml\n    yaml.load(file)", "yaml"),
        ("eval('1')", "eval"),
        ("exec(text)", "exec"),
        ("compile(text, '', 'exec')", "compile"),
        ("np.load(path)", "load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("numpy.load(path, allow_pickle=choice)", "load without allow_pickle=False"),
        ("keras.saving.load_model(path)", "load_model without safe_mode=True"),
        ("load_model(path, safe_mode=False)", "safe_mode=False"),
        ("keras.layers.Lambda.from_config(config, safe_mode=False)", "safe_mode=False"),
        ("keras.config.enable_unsafe_deserialization()", "enable_unsafe_deserialization"),
        ("os.system('ls')", "system"),
        ("subprocess.run(line, shell=True)", "shell=True"),
    ],
)
def test_what_would_run_code_is_found(text, what):
    assert any(found.endswith(f": {what}") for found in _found(text))


@pytest.mark.parametrize(
    "text",
    [
        "model.compile(optimizer)",
        "re.compile('a')",
        "json.load(file)",
        "np.load(path, allow_pickle=False)",
        "keras.saving.load_model(path, compile=False, safe_mode=True)",
        "tf.saved_model.load(path)",
    ],
)
def test_what_is_harmless_is_not(text):
    assert list(_found(text)) == []
