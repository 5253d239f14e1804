"""Who joins a run does its jobs, leaves its records alone, and is refused where it cannot help."""

import json

import pytest
import tiny

from okd_tf import claims, errors, files, settings
from okd_tf.pipeline import joining, record, stages, work
from okd_tf.pipeline.context import Context
from okd_tf.training import recipe

DATA = tiny.make_splits()


def _context(workdir, **changes):
    chosen = settings.Settings(workdir=str(workdir), num_teachers=3, batch_size=9, **changes)
    context = Context(chosen)
    context.data = DATA
    return context


@pytest.fixture
def trained(monkeypatch):
    """Teachers are trained by name only; the names."""
    names = []

    def pretend(make, objective, training, val, *, save_to, **kwargs):
        names.append(save_to.name)
        files.write_text(save_to, "")

    monkeypatch.setattr(recipe, "train", pretend)
    return names


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """Of a run that was killed in its teachers stage before the first was there."""
    context = _context(tmp_path)
    record.describe(context)

    def die(context, jobs):
        (context.workdir / "teachers").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "_train_teachers", die)
        with pytest.raises(KeyboardInterrupt):
            record.complete(context, stages.STAGES["teachers"])
    return tmp_path


def _records(workdir):
    return {name: (workdir / name).read_bytes() for name in ("flags.cfg", "run.json", "stages.json")}


def test_it_trains_what_nobody_trains_and_writes_none_of_the_run_s_records(workdir, trained):
    before = _records(workdir)
    context = _context(workdir)
    joining.check(context)
    with claims.Claims(workdir / "teachers" / claims.FOLDER).take("teacher 2"):
        assert joining.teachers(context) == ["teacher 1", "teacher 3"]
        assert trained == ["teacher_00.keras", "teacher_02.keras"]
        assert joining.teachers(context) == []
        assert joining.why_not_teachers(context).startswith(
            "others have all that is left: teacher 2 (process"
        )
    assert joining.teachers(context) == ["teacher 2"]
    assert joining.why_not_teachers(context) == "all that can be shared is done"
    assert _records(workdir) == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seed": 1}, "its teachers stage ran with other inputs (--seed)"),
        (
            {"teacher_backbones": ("resnet14",)},
            "its teachers stage ran with other inputs (--teacher_backbone, --teacher_backbones)",
        ),
        ({"teachers": ("a.keras",)}, "its teachers are given, and are not trained"),
    ],
)
def test_it_trains_no_teachers_that_the_run_does_not_want(workdir, trained, changes, why):
    context = _context(workdir, **changes)
    assert joining.teachers(context) == []
    assert joining.why_not_teachers(context) == why
    assert trained == []


def test_a_run_that_starts_over_stops_who_helps_the_one_before(workdir, trained):
    context = _context(workdir)
    with claims.Claims(workdir / "teachers" / claims.FOLDER).take("teacher 1") as claim:
        record._set_aside(context, stages.STAGES["teachers"])
        with pytest.raises(claims.LostError):
            claim.check()
    assert not (workdir / "teachers.old" / claims.FOLDER).exists()


def test_nothing_done_is_an_error_that_says_why_and_something_a_line(workdir, capsys):
    context = _context(workdir)
    with pytest.raises(errors.UserError, match=f"^--join: nothing to do in {workdir}: because"):
        joining.say_what_was_done(context, [], "because")
    joining.say_what_was_done(context, ["teacher 1", "teacher 3"], "")
    assert f"joined {workdir}: did teacher 1, teacher 3; " in capsys.readouterr().out


def test_a_run_without_a_description_is_refused_by_its_name(workdir):
    (workdir / "run.json").unlink()
    with pytest.raises(errors.UserError, match=f"^--join: {workdir}/run.json is not there; start the run"):
        joining.check(_context(workdir))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.update(okd_tf="0.0.9"), "is of okd_tf 0.0.9, and here is "),
        (lambda run: run["packages"].update(tensorflow="2.1"), "is of tensorflow 2.1, and here is "),
        (lambda run: run["split"].update(sha256="other"), "the split of the examples differs"),
        (lambda run: run.pop("packages"), "run.json: the whole file: missing field packages"),
    ],
)
def test_where_results_would_be_others_it_is_refused(workdir, change, message):
    described = json.loads((workdir / "run.json").read_text())
    change(described)
    (workdir / "run.json").write_text(json.dumps(described))
    with pytest.raises(errors.UserError) as refusal:
        joining.check(_context(workdir))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
