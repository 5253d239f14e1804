"""The command line: flags, flagfiles, workdirs that remember, and errors of one line."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from absl import flags

from okd_tf import cli, errors, lock, pipeline, settings, stopping
from okd_tf.cli import command_line, recorded

ROOT = pathlib.Path(__file__).parents[1]


REFUSE_MISSING = recorded.refuse_missing  # other tests name inputs that are nowhere


pytestmark = pytest.mark.usefixtures("flags_of_a_tool")


@pytest.fixture
def run(monkeypatch):
    """Runs a tool in this process; gives the (settings, stages) that reach the pipeline."""
    monkeypatch.setattr(cli, "import_tensorflow", lambda: None)
    monkeypatch.setattr(stopping, "install", lambda: None)
    monkeypatch.setattr(recorded, "refuse_missing", lambda chosen: None)

    def tool(*arguments, stages=None, work=lambda chosen: None):
        reached = []

        def record(chosen, names):
            reached.append((chosen, names))
            work(chosen)

        monkeypatch.setattr(pipeline, "run", record)
        monkeypatch.setattr(pipeline, "join", lambda chosen: record(chosen, None))
        for name in settings.FIELDS:
            flags.FLAGS[name].unparse()
        flags.FLAGS.unparse_flags()
        command_line.parse(["tool", *map(str, arguments)])
        cli._run(lambda: cli._run_stages(stages))
        (only,) = reached
        return only

    return tool


@pytest.fixture
def refused(run, capsys):
    """The one line that a refused command leaves on standard error."""

    def tool(*arguments, **more):
        with pytest.raises(SystemExit) as leaving:
            run(*arguments, **more)
        assert leaving.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        return printed.err

    return tool


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "run"


def _keep(chosen, used=("seed", "views", "learning_rate"), stage="teachers"):
    """Leaves what a run leaves: its flags, and the record of one stage that these settings decided."""
    folder = pathlib.Path(chosen.workdir)
    folder.mkdir(exist_ok=True)
    (folder / settings.FLAGFILE).write_text(settings.flagfile(chosen))
    key = {"splits": {}, "settings": {name: settings.text(getattr(chosen, name)) for name in used}}
    entry = {"key": {**key, "files": {}}, "complete": False, "seconds": 0.0}
    (folder / settings.STAGES_FILE).write_text(json.dumps({stage: entry}))


def test_flags_are_the_settings_by_name_and_default(run, workdir):
    chosen, names = run(f"--workdir={workdir}")
    assert chosen == settings.Settings(workdir=str(workdir))
    assert names == settings.STAGES


def test_flags_of_every_type_reach_the_settings(run, workdir):
    chosen, names = run(
        f"--workdir={workdir}",
        "--seed=3",
        "--temperature=2.5",
        "--nobaseline",
        "--teachers=/t/a.keras,/t/b.keras",
        "--strategy=random",
        "--stages=search,student",
    )
    assert chosen == settings.Settings(
        workdir=str(workdir),
        seed=3,
        temperature=2.5,
        baseline=False,
        teachers=("/t/a.keras", "/t/b.keras"),
        strategy="random",
        stages=("search", "student"),
    )
    assert names == ("search", "student")


def test_a_tool_of_one_stage_says_which_by_its_settings(run, workdir):
    _, names = run(f"--workdir={workdir}", "--seed=3", stages=lambda chosen: (f"of {chosen.seed}",))
    assert names == ("of 3",)


def test_a_flagfile_gives_back_the_settings_it_was_made_of(run, tmp_path):
    chosen = settings.Settings(
        workdir=str(tmp_path / "run"),
        seed=9,
        teachers=("/t/a.keras", "/t/b.keras"),
        baseline=False,
        weight_decay=1e-05,
    )
    path = tmp_path / "flags.cfg"
    path.write_text(settings.flagfile(chosen))
    assert run(f"--flagfile={path}")[0] == chosen
    # A later flag wins.
    assert run(f"--flagfile={path}", "--seed=1")[0].seed == 1


def test_a_workdir_s_own_flags_are_adopted_for_those_not_given(run, workdir):
    first, _ = run(
        *(f"--workdir={workdir}", "--seed=7", "--nobaseline", "--teachers=/t/a.keras,/t/b.keras"),
        *("--learning_rate=0.05", "--steps_per_execution=4"),
        work=_keep,
    )
    assert run(f"--workdir={workdir}")[0] == first
    assert run(f"--workdir={workdir}", "--learning_rate=5e-2", "--seed=7")[0] == first


def test_flags_of_one_call_are_not_adopted(run, workdir):
    run(f"--workdir={workdir}", "--stages=evaluate", "--redo", "--download", "--student=a.keras", work=_keep)
    chosen, names = run(f"--workdir={workdir}")
    assert chosen == settings.Settings(workdir=str(workdir))
    assert names == settings.STAGES


def test_a_manner_of_running_may_change(run, workdir):
    run(f"--workdir={workdir}", "--checkpoint_seconds=5", work=_keep)
    assert run(f"--workdir={workdir}", "--checkpoint_seconds=9")[0].checkpoint_seconds == 9


def test_contradictions_are_refused_with_both_values(run, refused, workdir):
    run(f"--workdir={workdir}", "--seed=7", "--teachers=/t/a.keras", work=_keep)
    message = refused(f"--workdir={workdir}", "--seed=8", "--views=4", "--teachers=")
    assert str(workdir) in message
    assert "--seed is 7 there, 8 here" in message
    assert "--views is -1 (left to the data) there, 4 here" in message
    assert "--teachers is /t/a.keras there, empty here" in message
    assert "--redo" in message
    # What no --redo would mend is said first.
    assert "--seed: -8 is too small" in refused(f"--workdir={workdir}", "--seed=-8")


@pytest.mark.parametrize("flag", ["dataset=cifar10", "split_seed=3", "train_examples=9", "val_examples=9"])
def test_the_splits_are_part_of_any_result(run, refused, workdir, flag):
    run(f"--workdir={workdir}", work=lambda chosen: _keep(chosen, used=()))
    name, value = flag.split("=")
    there = settings.text(settings.default(settings.FIELDS[name])) or "empty"
    assert f"--{name} is {there} there, {value} here" in refused(f"--workdir={workdir}", f"--{flag}")


OF_THE_USER = {"arch": {"search", "student", "baseline"}, "teachers": {"teachers"}}


@pytest.mark.parametrize("stage", [stage for stage in settings.STAGES if stage != "report"])
@pytest.mark.parametrize("flag", OF_THE_USER)
def test_a_file_of_the_user_may_change_until_a_stage_that_takes_it_has_run(
    run, refused, workdir, flag, stage
):
    run(f"--workdir={workdir}", work=lambda chosen: _keep(chosen, used=(), stage=stage))
    if stage in OF_THE_USER[flag]:
        message = refused(f"--workdir={workdir}", f"--{flag}=/mine/file")
        assert f"--{flag} is empty there, /mine/file here" in message
    else:
        chosen, _ = run(f"--workdir={workdir}", f"--{flag}=/mine/file")
        assert settings.text(getattr(chosen, flag)) == "/mine/file"


def test_a_lost_flagfile_of_a_workdir_with_results_is_refused_unless_all_is_said_anew(run, refused, workdir):
    run(f"--workdir={workdir}", "--seed=7", work=_keep)
    path = workdir / settings.FLAGFILE
    path.unlink()
    for arguments in ((), ("--seed=7",)):
        message = refused(f"--workdir={workdir}", *arguments)
        assert message.startswith(f"error: {path}: no such file, but the workdir holds results; ")
        assert "--redo" in message
    assert run(f"--workdir={workdir}", "--seed=8", "--redo")[0].seed == 8


@pytest.mark.parametrize("stages", [None, "{}"])
def test_a_workdir_without_results_needs_no_flagfile(run, workdir, stages):
    workdir.mkdir()
    if stages:
        (workdir / settings.STAGES_FILE).write_text(stages)
    assert run(f"--workdir={workdir}", "--seed=8")[0].seed == 8


def test_what_no_stage_has_used_yet_may_change(run, refused, workdir):
    run(f"--workdir={workdir}", "--student_epochs=4", work=_keep)
    assert run(f"--workdir={workdir}", "--student_epochs=5")[0].student_epochs == 5
    run(
        f"--workdir={workdir}",
        "--student_epochs=5",
        work=lambda chosen: _keep(chosen, used=("seed", "student_epochs")),
    )
    assert "--student_epochs is 5 there, 6 here" in refused(f"--workdir={workdir}", "--student_epochs=6")


@pytest.mark.parametrize("stages", [None, "{}"])
def test_the_flags_of_a_run_that_came_to_no_stage_do_not_count(run, workdir, stages):
    run(f"--workdir={workdir}", "--seed=7", work=_keep)
    (workdir / settings.STAGES_FILE).unlink()
    if stages:
        (workdir / settings.STAGES_FILE).write_text(stages)
    assert run(f"--workdir={workdir}")[0].seed == 0
    assert run(f"--workdir={workdir}", "--seed=8")[0].seed == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe--seed", "cannot be read"),
        (b"--seed=many\n", "--seed=many is not a value of this flag"),
        (b"--baseline=perhaps\n", "--baseline=perhaps is not a value of this flag"),
        (b"--sede=3\n", "'--sede=3' is not a flag as a run records it"),
        (b"--seed\n", "'--seed' is not a flag as a run records it"),
        (b"seed=3\n", "'seed=3' is not a flag as a run records it"),
    ],
)
def test_a_damaged_flagfile_of_a_workdir_is_refused_by_its_name(run, refused, workdir, content, message):
    run(f"--workdir={workdir}", work=_keep)
    path = workdir / settings.FLAGFILE
    path.write_bytes(content)
    line = refused(f"--workdir={workdir}")
    assert line.startswith(f"error: {path}: ")
    assert message in line
    assert line.endswith("; mend it\n")
    assert "delete" not in line


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "[1]", "null", "3", "{", '{"teachers": 3}', '{"teachers": {}}'),
        '{"a": {"key": {"settings": null}}}',
    ],
)
def test_a_damaged_record_of_stages_is_refused_by_its_name(run, refused, workdir, content):
    run(f"--workdir={workdir}", work=_keep)
    path = workdir / settings.STAGES_FILE
    path.write_text(content)
    assert refused(f"--workdir={workdir}").startswith(f"error: {path}: ")


def test_paths_of_inputs_are_kept_as_they_are_from_anywhere(run, workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    flags_given = (
        "--teachers=a.keras,~/b.keras",
        "--arch=x/../arch.json",
        "--student=s.keras",
        "--data_dir=d",
    )
    evaluating = {"stages": lambda chosen: ("evaluate",)}
    chosen, _ = run(f"--workdir={workdir}", *flags_given, work=_keep, **evaluating)
    assert chosen.teachers == (str(tmp_path / "a.keras"), "/home/me/b.keras")
    assert chosen.arch == str(tmp_path / "arch.json")
    assert chosen.student == str(tmp_path / "s.keras")
    assert chosen.data_dir == str(tmp_path / "d")
    # And so is the workdir.
    for given, kept in (("w/../run", workdir), ("~/run", "/home/me/run")):
        assert run(f"--workdir={given}", *flags_given, **evaluating)[0].workdir == str(kept)
    # The same files by the same names, or by those that were kept, contradict nothing.
    assert run(f"--workdir={workdir}", *flags_given, **evaluating)[0] == chosen
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    adopted, _ = run(f"--workdir={workdir}")
    assert (adopted.teachers, adopted.arch, adopted.data_dir) == (
        chosen.teachers,
        chosen.arch,
        chosen.data_dir,
    )


def test_an_empty_path_or_an_address_is_left_as_it_is(run, workdir):
    chosen, _ = run(f"--workdir={workdir}", "--data_dir=gs://bucket/data", "--teachers=")
    assert (chosen.data_dir, chosen.teachers, chosen.arch, chosen.student) == ("gs://bucket/data", (), "", "")


def test_a_tool_of_its_own_stages_refuses_to_be_told_others(refused, workdir):
    message = refused(f"--workdir={workdir}", "--stages=search", stages=lambda chosen: ("evaluate",))
    assert message.startswith("error: --stages: this tool has stages of its own; use tools/search.py")


def test_redo_accepts_the_contradiction_and_adopts_the_rest(run, workdir):
    run(f"--workdir={workdir}", "--seed=7", "--views=4", work=_keep)
    chosen, _ = run(f"--workdir={workdir}", "--seed=8", "--redo")
    assert (chosen.seed, chosen.views, chosen.redo) == (8, 4, True)


@pytest.mark.parametrize("name", ["teachers", "arch", "student", "bank", "backbone"])
def test_an_input_that_is_not_there_is_refused_by_its_flag_until_there_are_results(name, workdir, tmp_path):
    path = str(tmp_path / "gone.keras")
    chosen = settings.Settings(workdir=str(workdir), **{name: (path,) if name == "teachers" else path})
    with pytest.raises(errors.UserError, match=f"^--{name}: {path}: no such file or folder"):
        REFUSE_MISSING(chosen)
    _keep(chosen)
    REFUSE_MISSING(chosen)


def test_data_that_is_not_there_is_refused_though_there_are_results(workdir, tmp_path):
    def chosen(**data):
        return settings.Settings(workdir=str(workdir), **data)

    path = str(tmp_path / "gone")
    for name, missing in (
        ("dataset: ", chosen(dataset=f"npz:{path}")),
        ("data_dir: ", chosen(dataset="folder", data_dir=path)),
        ("data_dir: no prepared 'cifar10' in ", chosen(dataset="cifar10", data_dir=path)),
        ("tiny_imagenet_zip: ", chosen(dataset="tiny_imagenet", tiny_imagenet_zip=path)),
    ):
        for _ in range(2):
            with pytest.raises(errors.UserError, match=f"^--{name}{path}"):
                REFUSE_MISSING(missing)
            _keep(missing)


def test_a_file_of_arrays_is_kept_as_it_is_from_anywhere(run, workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen, _ = run(f"--workdir={workdir}", "--dataset=npz:mine.npz")
    assert chosen.dataset == f"npz:{tmp_path / 'mine.npz'}"
    assert run(f"--workdir={workdir}", "--dataset=tfds:mine/small")[0].dataset == "tfds:mine/small"


def test_a_positional_argument_is_refused(refused, workdir):
    assert "'lr=0.7' is not a flag" in refused(f"--workdir={workdir}", "lr=0.7")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sede=3"], "Unknown command line flag 'sede'. Did you mean: seed"),
        (["--seed=many"], "seed"),
        (["--baseline=perhaps"], "baseline"),
        (["--temperature=warm"], "temperature"),
        (["--seed=-1"], "--seed: -1 is too small; at least 0"),
        (["--learning_rate=nan"], "--learning_rate: nan is not a finite number"),
        (["--stages="], "--stages: none given"),
        (["--stages=serach"], "--stages: unknown name 'serach'; did you mean search"),
        (["--flagfile=none.cfg"], "none.cfg"),
        (["--epochs=3"], "--search_epochs, --search_warmup_epochs, --student_epochs, --teacher_epochs"),
        (["--max_params=1.0005k"], "--max_params: '1.0005k' is not a number of parameters"),
        (["--max_params=50kk"], "max_params"),
    ],
)
def test_a_flag_that_cannot_be_used_is_refused_in_one_line(refused, workdir, arguments, message):
    assert message in refused(f"--workdir={workdir}", *arguments)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("50k", 50_000),
        ("50K", 50_000),
        ("1.5M", 1_500_000),
        ("2m", 2_000_000),
        ("1e6", 1_000_000),
        ("2G", 2 * 10**9),
    ],
)
def test_whole_numbers_may_be_said_in_thousands_and_millions(run, workdir, said, number):
    chosen, _ = run(f"--workdir={workdir}", f"--max_params={said}", f"--max_flops={said}", f"--seed={said}")
    assert (chosen.max_params, chosen.max_flops, chosen.seed) == ((str(number),), number, number)


BOM = "\ufeff"


@pytest.mark.parametrize("flag", ["--flagfile={}", "-flagfile={}", "--flagfile {}"])
def test_a_flagfile_may_have_a_byte_order_mark_and_values_in_quotes(run, tmp_path, flag):
    path, inner = tmp_path / "my flags.cfg", tmp_path / "inner.cfg"
    inner.write_text(f"{BOM}--dataset='digits'\n", encoding="utf-8")
    lines = [f"{BOM}# mine", f'--workdir="{tmp_path / "my run"}"', f"--flagfile={inner}", "--seed=3"]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    words = flag.split(" ")
    chosen, _ = run(*(word.format(path) for word in words))
    assert (chosen.workdir, chosen.dataset, chosen.seed) == (str(tmp_path / "my run"), "digits", 3)


def test_quotes_within_a_value_are_of_it(run, tmp_path):
    path = tmp_path / "mine.cfg"
    path.write_text(f'--workdir={tmp_path}/a"b"c\n', encoding="utf-8")
    assert run(f"--flagfile={path}")[0].workdir == f'{tmp_path}/a"b"c'


@pytest.mark.parametrize(
    "line",
    [
        "--seed = 3",
        "--seed 3",
        "--seed=3  # as always",
        "--seed='3'\t# as always",
        "\N{EN DASH}seed=3",
        "--seed=\N{LEFT DOUBLE QUOTATION MARK}3\N{RIGHT DOUBLE QUOTATION MARK}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_flagfile_may_be_as_people_and_their_editors_write_it(run, tmp_path, line, encoding):
    path = tmp_path / "mine.cfg"
    path.write_text(f"--workdir={tmp_path}/run # 2\n{line}\n", encoding=encoding)
    chosen, _ = run(f"--flagfile={path}")
    assert (chosen.workdir, chosen.seed) == (f"{tmp_path}/run # 2", 3)


@pytest.mark.parametrize(
    ("name", "meant"), [("lr", "learning_rate"), ("bs", "batch_size"), ("out", "workdir")]
)
def test_what_other_programs_call_a_flag_is_told_by_its_name_here(refused, workdir, name, meant):
    assert f"'{name}'; there is --{meant}\n" in refused(f"--workdir={workdir}", f"--{name}=3")


def test_a_backbone_that_is_no_keras_file_is_said_to_be_so(refused, workdir, tmp_path):
    (tmp_path / "mine.weights.h5").touch()
    assert "is a folder; a backbone is a .keras file" in refused(
        f"--workdir={workdir}", f"--backbone={tmp_path}"
    )
    assert "is no network; a backbone is" in refused(
        f"--workdir={workdir}", f"--backbone={tmp_path}/mine.weights.h5"
    )


def test_a_finished_student_is_refused_by_stages_that_make_one_before_tensorflow_is_imported(
    refused, workdir
):
    assert "--student: names a finished network" in refused(f"--workdir={workdir}", "--student=mine.keras")


def test_patterns_are_said_not_to_be_filled_in(tmp_path):
    path = f"{tmp_path}/*.keras"
    with pytest.raises(errors.UserError, match="a folder stands for the networks in it"):
        recorded._refuse_missing_path("teachers", path, (path,))


def test_a_missing_workdir_flag_is_refused(refused):
    assert "--workdir: give the folder" in refused("--seed=3")


def test_a_user_error_of_the_pipeline_is_one_line(refused, workdir):
    def fail(chosen):
        raise errors.UserError("--dataset: it is not there")

    assert refused(f"--workdir={workdir}", work=fail) == "error: --dataset: it is not there\n"


def test_an_error_of_the_program_is_not_taken_for_the_user_s(run, workdir):
    def fail(chosen):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(f"--workdir={workdir}", work=fail)


@pytest.mark.parametrize(
    ("signum", "by", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_stopped_run_says_in_one_line_how_to_go_on(run, workdir, capsys, signum, by, code):
    def stop(chosen):
        raise stopping.Stopped(signum, "teacher 1, step 7 of 40, is saved")

    with pytest.raises(SystemExit) as leaving:
        run(f"--workdir={workdir}", work=stop)
    assert leaving.value.code == code
    assert capsys.readouterr().err == (
        f"stopped by {by}: teacher 1, step 7 of 40, is saved; the same command goes on where it stopped\n"
    )


def test_a_workdir_in_use_is_refused_before_tensorflow_is_imported(run, refused, workdir, monkeypatch):
    monkeypatch.setattr(cli, "import_tensorflow", lambda: pytest.fail("imported"))
    with lock.holding(workdir):
        assert f"--workdir: {workdir} is in use by process {os.getpid()}" in refused(f"--workdir={workdir}")


def test_who_joins_takes_the_run_s_flags_beside_its_lock_and_may_go_about_it_in_another_manner(run, workdir):
    first, _ = run(f"--workdir={workdir}", "--seed=7", "--teacher_epochs=3", "--data_dir=/there", work=_keep)
    with lock.holding(workdir):
        joined, names = run(f"--workdir={workdir}", "--join", "--data_dir=/here", "--seed=7")
    assert names is None
    assert joined == dataclasses.replace(first, join=True, data_dir="/here")


def test_another_effort_is_asked_about_once_a_stage_rests_on_what_it_decides(run, refused, workdir):
    run(f"--workdir={workdir}", work=lambda chosen: _keep(chosen, used=("seed",)))
    assert run(f"--workdir={workdir}", "--effort=quick")[0].effort == "quick"
    run(f"--workdir={workdir}", work=lambda chosen: _keep(chosen, used=("seed", "teacher_epochs")))
    assert "--effort is normal there, quick here" in refused(f"--workdir={workdir}", "--effort=quick")
    assert run(f"--workdir={workdir}", "--effort=quick", "--redo")[0].effort == "quick"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--seed=8", "--views=3"],
            "--join: the run in {} has other flags: --seed is 7 there, 8 here; ",
        ),
        (["--teacher_epochs=5"], "--teacher_epochs is 3 there, 5 here"),  # though no stage has used it
        (["--redo"], "--redo: is for the run itself, which --join only helps; leave it out"),
        (["--student=a.keras"], "--student: is for the run itself"),
        (["--stages=search,student"], "--join: nothing is shared of what is done here"),
    ],
)
def test_who_joins_is_refused_what_the_run_is_not_doing(run, refused, workdir, arguments, message):
    run(f"--workdir={workdir}", "--seed=7", "--teacher_epochs=3", work=_keep)
    assert message.format(workdir) in refused(f"--workdir={workdir}", "--join", *arguments)


def test_who_joins_where_no_run_is_is_refused_and_leaves_nothing(refused, workdir):
    message = f"--join: {workdir} holds no run to help (flags.cfg is not there)"
    assert message in refused(f"--workdir={workdir}", "--join")
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda stages: stages.pop("teachers"), "has not begun yet"),
        (lambda stages: stages["teachers"].update(complete=True), "is complete"),
    ],
)
def test_who_joins_a_run_that_trains_no_teachers_is_refused_at_once(
    run, refused, workdir, monkeypatch, spoil, why
):
    run(f"--workdir={workdir}", work=_keep)
    path = workdir / settings.STAGES_FILE
    stages = json.loads(path.read_text())
    spoil(stages)
    path.write_text(json.dumps(stages))
    monkeypatch.setattr(cli, "import_tensorflow", lambda: pytest.fail("imported"))
    message = refused(f"--workdir={workdir}", "--join")
    assert f"--join: nothing to do in {workdir}: the teachers stage of its run {why}" in message


def test_a_run_that_is_refused_leaves_no_workdir(refused, workdir):
    def refuse(chosen):
        raise errors.UserError("no")

    refused(f"--workdir={workdir / 'deep'}", work=refuse)
    assert not workdir.exists()


def test_every_configuration_is_a_flagfile_that_can_be_used(run):
    paths = sorted((ROOT / "configs").glob("*.cfg"))
    assert paths
    for path in paths:
        chosen, _ = run(f"--flagfile={path}", "--workdir=somewhere/else")
        assert chosen.workdir == os.path.abspath("somewhere/else")


@pytest.mark.parametrize("tool", sorted(path.name for path in (ROOT / "tools").glob("*.py")))
def test_a_tool_refuses_an_unknown_flag_before_it_imports_tensorflow(tool):
    script = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--sede=3']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "tools" / tool)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: Unknown command line flag 'sede'.")
    assert done.stderr.count("\n") == 1
