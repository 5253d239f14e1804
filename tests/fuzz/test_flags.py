"""Whatever a flagfile or a workdir's flags.cfg holds, it gives settings or a line that says what is wrong."""

import json
import pathlib

import hypothesis
import mutation
import pytest
from absl import flags
from hypothesis import strategies as st

from okd_tf import cli, settings
from okd_tf.cli import command_line

EXAMPLES, SLOW_EXAMPLES = 40, 400


pytestmark = pytest.mark.usefixtures("flags_of_a_tool")


def _run(*arguments):
    """What the command line of a tool comes to, as far as TensorFlow's import: `Settings`."""
    for name in settings.FIELDS:
        flags.FLAGS[name].unparse()
    flags.FLAGS.unparse_flags()
    found = []
    command_line.parse(["tool", *map(str, arguments)])
    cli._run(lambda: found.append(cli.resolve()))
    return found[0]


def _try(capsys, named, *arguments):
    """Runs; what is refused must be one line that has one of `named`. Gives the settings, or None."""
    capsys.readouterr()
    try:
        return _run(*arguments)
    except SystemExit as leaving:
        code = leaving.code
    printed = capsys.readouterr()
    assert code == command_line.EXIT_USER_ERROR
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert len(printed.err.splitlines()) == 1
    assert any(name in printed.err for name in named), printed.err
    return None


_LINES = st.one_of(
    st.sampled_from(sorted(settings.FIELDS)).flatmap(
        lambda name: st.builds("--{}={}".format, st.just(name), mutation.TEXTS)
    ),
    st.sampled_from(sorted(settings.FIELDS)).map("--{}".format),
    st.sampled_from(["--flagfile=", "--flagfile", "--undefok=seed", "--help", "--", "-", "seed=3", "# x"]),
    mutation.TEXTS,
)
_TEXT = settings.flagfile(settings.Settings(workdir="somewhere", teachers=("/t/a.keras", "/t/b.keras")))
_CONTENTS = st.one_of(
    mutation.damages(_TEXT.encode()),
    st.lists(_LINES, max_size=4).map(lambda lines: "\n".join(lines).encode(errors="replace")),
)


def _fuzz_a_flagfile(folder, capsys, examples):
    path = folder / "mine.cfg"
    outcomes = set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(_CONTENTS)
    def fuzz(content):
        path.write_bytes(content)
        # A wrong value is named by its flag.
        found = _try(capsys, (str(path), "error: --"), f"--flagfile={path}", f"--workdir={folder / 'run'}")
        outcomes.add(found is not None)
        assert not found or settings.flagfile(found)

    fuzz()
    assert outcomes == {True, False}


def _kept(folder):
    """A workdir as a run leaves it."""
    chosen = settings.Settings(workdir=str(folder))
    folder.mkdir()
    key = {"splits": {}, "settings": {"seed": "0", "views": "16"}, "files": {}}
    entry = {"key": key, "complete": True, "seconds": 1.0}
    text = settings.flagfile(chosen)
    (folder / settings.FLAGFILE).write_text(text)
    (folder / settings.STAGES_FILE).write_text(json.dumps({"teachers": entry}))
    return text.encode()


def _fuzz_a_workdir(folder, capsys, examples):
    original = _kept(folder)
    path = folder / settings.FLAGFILE
    outcomes = set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(_CONTENTS | mutation.damages(original))
    def fuzz(content):
        path.write_bytes(content)
        found = _try(capsys, (str(folder),), f"--workdir={folder}")
        outcomes.add(found is not None)
        assert not found or found.workdir == str(folder)

    fuzz()
    assert outcomes == {True, False}


def test_a_mutated_flagfile_gives_settings_or_one_line(tmp_path, capsys):
    _fuzz_a_flagfile(tmp_path, capsys, EXAMPLES)


def test_mutated_flags_of_a_workdir_give_settings_or_one_line_that_names_it(tmp_path, capsys):
    _fuzz_a_workdir(tmp_path / "run", capsys, EXAMPLES)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_many_mutated_flagfiles_give_settings_or_one_line(tmp_path, capsys):
    _fuzz_a_flagfile(tmp_path, capsys, SLOW_EXAMPLES)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_many_mutated_flags_of_a_workdir_give_settings_or_one_line_that_names_it(tmp_path, capsys):
    _fuzz_a_workdir(tmp_path / "run", capsys, SLOW_EXAMPLES)


@pytest.mark.parametrize("content", [b"\xff\xfe--seed=3", b"--seed=3\nlr=0.7", b"--sede=3", b"--seed=many"])
def test_what_a_flagfile_has_wrong_is_said_with_its_path(tmp_path, capsys, content):
    path = tmp_path / "mine.cfg"
    path.write_bytes(content)
    assert _try(capsys, (str(path),), f"--flagfile={path}", "--workdir=run") is None
    (tmp_path / "outer.cfg").write_text(f"--flagfile={path}\n")
    assert _try(capsys, (f"{tmp_path}/outer.cfg",), "--flagfile", tmp_path / "outer.cfg") is None


@pytest.mark.parametrize("where", ["folder", "missing"])
def test_a_flagfile_that_is_none_is_said_with_its_path(tmp_path, capsys, where):
    path = tmp_path if where == "folder" else tmp_path / "none.cfg"
    assert _try(capsys, (str(path),), f"--flagfile={path}") is None


@pytest.mark.parametrize("value", ["a\nb", "a\x1bb", "a\udcffb", "a\u2028--seed=3"])
@pytest.mark.parametrize("flag", ["workdir", "teachers", "arch", "dataset"])
def test_a_value_that_would_not_stay_on_its_line_of_flags_cfg_is_refused(capsys, flag, value):
    assert _try(capsys, (f"--{flag}",), "--workdir=run", f"--{flag}={value}") is None


@pytest.mark.parametrize("number", ["9" * 400, "9223372036854775808"])
def test_a_number_that_no_program_can_count_to_is_refused(capsys, number):
    assert _try(capsys, ("error: --seed: ",), "--workdir=run", f"--seed={number}") is None


def test_a_workdir_whose_name_is_too_long_is_refused(capsys):
    assert _try(capsys, ("error: --workdir: ",), f"--workdir={pathlib.Path('/tmp', 'x' * 300)}") is None
