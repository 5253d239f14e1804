"""What a run leaves to its data is resolved in one place, and is what its stages are recorded with."""

import dataclasses
import json
import random
import types

import keras
import pytest
import tiny

from okd_tf import backbones, errors, json_file, settings
from okd_tf.arch import cost
from okd_tf.data import splits as carving
from okd_tf.pipeline import check, diagnosis, forecast, record, stages
from okd_tf.pipeline.context import Context
from okd_tf.teachers import shards

STAGES = ("teachers", "bank", "search", "student", "baseline")
# Of the 1,294 training images of the digits, with 9 views each: 40 steps an epoch of 32 images.
PLAN = {
    "backbone": "resnet8",
    "teacher_backbone": "resnet14",
    "backbone_width": 16,
    "mix": "none",
    "teacher_mix": "none",
    "batch_size": 32,
    "learning_rate": 0.05,
    "teacher_epochs": 75,
    "search_epochs": 38,
    "search_warmup_epochs": 7,
    "assistant_epochs": 75,
    "student_epochs": 75,
    "views": 9,
}


@pytest.fixture
def run(tmp_path, splits):
    """A run on the digits that leaves to them what these settings do not say."""

    def made(data=splits, **changes):
        context = Context(settings.Settings(workdir=str(tmp_path / "run"), **changes))
        context.data = data
        return context

    return made


def _keys(context):
    return {name: record._key(context, stages.STAGES[name]) for name in STAGES}


def test_settings_are_resolved_and_what_was_asked_for_stays_open(run):
    context = run(views=3)
    assert {name: getattr(context.settings, name) for name in settings.OPEN} == {**PLAN, "views": 3}
    assert context.recipe_of("student").learning_rate == PLAN["learning_rate"]
    record.describe(context)
    flags = (context.workdir / settings.FLAGFILE).read_text()
    for line in ("--batch_size=0", "--learning_rate=0.0", "--student_epochs=0", "--views=3"):
        assert f"{line}\n" in flags
    described = json.loads((context.workdir / "run.json").read_text())["plan"]
    assert described == {**PLAN, "views": 3, "train_examples": 1294, "replicas": 1}


def test_stages_are_recorded_with_what_was_resolved(run):
    usual = _keys(run())
    assert usual == _keys(run(**PLAN))
    assert usual == _keys(run(effort="normal"))
    assert usual["student"]["settings"]["student_epochs"] == "75"
    assert all("effort" not in key["settings"] for key in usual.values())
    quick = _keys(run(effort="quick"))
    assert all(quick[name] != usual[name] for name in STAGES)
    assert quick["bank"]["settings"]["views"] == "7"


def test_more_images_change_the_plan_and_ask_before_stages_run_again(run, digits):
    before, more = (carving.carve(digits, 0, train_examples=count) for count in (480, 960))
    context = run(before)
    for stage in STAGES:
        record._store(
            context, stages.STAGES[stage], {"key": _keys(context)[stage], "complete": True, "seconds": 0.0}
        )
    assert not record.of_other_data(context)
    grown = run(more)
    assert (context.settings.batch_size, grown.settings.batch_size) == (16, 32)
    with pytest.raises(errors.UserError, match=r"^--dataset: digits is not what it was .* add --redo"):
        check.check(grown, STAGES)
    check.check(run(more, redo=True), STAGES)


@pytest.mark.parametrize(
    ("devices", "began", "batch"), [(1, None, 32), (3, None, 30), (1, 3, 30), (2, 3, 30), (4, 3, 32)]
)
def test_a_run_that_goes_on_with_other_devices_keeps_its_batch_where_it_splits(run, devices, began, batch):
    context = run()
    context.strategy = types.SimpleNamespace(num_replicas_in_sync=devices)
    if began:
        json_file.write(context.workdir / "run.json", {"plan": {"replicas": began}})
    assert context.settings.batch_size == batch


def test_a_bank_that_is_read_says_how_many_views(run, tmp_path):
    held = shards.Plan(
        key={}, rows={"train": 1, "val": 1}, views={"train": 4, "val": 1}, teachers=1, classes=2
    )
    (tmp_path / "bank").mkdir()
    json_file.write(tmp_path / "bank" / "bank.json", {"format": shards.FORMAT, **dataclasses.asdict(held)})
    assert run(bank=str(tmp_path / "bank")).settings.views == 4
    # What is wrong with one is said where it is to be read.
    assert run(bank=str(tmp_path / "nowhere")).settings.views == 9


def test_a_run_whose_settings_are_all_given_reads_no_data_for_them(tmp_path):
    context = Context(settings.Settings(workdir=str(tmp_path), dataset="npz:nowhere", **PLAN))
    assert context.settings is context.requested


def _said(capsys, context, names=STAGES, **how):
    capsys.readouterr()
    forecast.say(context, names, **how)
    return capsys.readouterr().out.splitlines()


def test_the_plan_is_said_in_one_line_with_its_time(run, capsys):
    (line,) = _said(capsys, run())
    start = (
        "plan: 1,294 images: teachers resnet14, backbone resnet8, batch 32, 75 epochs, 3,000 steps a network "
        "(search: 38 epochs, 1,520 steps), 9 views; about "
    )
    assert line.startswith(start)
    assert line.endswith(" in all")
    (line,) = _said(capsys, run(), timed=False)
    assert line.endswith(", 9 views")


def test_the_time_of_further_trials_is_that_of_all_but_the_teachers(run, monkeypatch):
    monkeypatch.setattr(forecast, "_product_speed", lambda precision: 1e12)

    def seconds(count, names):
        return forecast.seconds(run(trials=count, opponents="none"), (*names, "trials"), names)

    own = ("search", "student", "baseline")
    one = seconds(1, own)
    assert seconds(1, (*own, "trials")) == one
    assert seconds(3, (*own, "trials")) == pytest.approx(3 * one)
    both = seconds(3, ("teachers", *own, "trials"))
    assert both == pytest.approx(seconds(1, ("teachers", *own)) + 2 * one)


def test_only_what_is_to_train_is_said(run, capsys):
    assert _said(capsys, run(), ("evaluate", "export", "report")) == []
    context = run(teachers=("mine.keras",), strategy="none", baseline=False)
    (line,) = _said(capsys, context, ("teachers", "search", "student", "baseline"))
    assert line.startswith(
        "plan: 1,294 images: backbone resnet8, batch 32, 75 epochs, 3,000 steps a network, 9 views; about "
    )


def test_trainings_too_short_to_work_are_warned_of_before_they_begin(run, capsys):
    context = run(batch_size=128, teacher_epochs=2, student_epochs=3)
    plan_, *warnings = _said(capsys, context)
    assert plan_.startswith(
        "plan: 1,294 images: teachers resnet14, backbone resnet8, batch 128, 3 epochs, 30 steps a network "
        "(teachers: 2 epochs, 20 "
    )
    assert warnings == [
        "warning: the teachers train 20 steps each (--teacher_epochs=2, 10 steps an epoch): train longer or "
        "lower --batch_size",
        "warning: the student trains 30 steps (--student_epochs=3, 10 steps an epoch): train longer or lower "
        "--batch_size",
    ]


def test_more_to_train_takes_longer(run):
    def seconds(names=STAGES, **changes):
        context = run(strategy=changes.pop("strategy", "darts"), **changes)
        return forecast.seconds(context, names, [name for name in names if name != "bank"])

    usual = seconds()
    assert usual > 0
    assert seconds(effort="thorough") > usual > seconds(effort="quick")
    assert seconds(num_teachers=9) > usual > seconds(("search", "student"))
    assert usual > seconds(strategy="random")
    assert seconds(unrolled=True) > usual


def test_what_is_built_to_be_counted_leaves_no_trace_in_names_and_seeds(run):
    def drawn():
        return keras.layers.Dense(1).name, random.random()

    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    expected = drawn()
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    forecast._flops_of.cache_clear()
    flops = forecast._flops_of("resnet8", 8, (8, 8, 1), 10)
    assert drawn() == expected
    assert flops == cost.of_model(backbones.build("resnet8", 8, (8, 8, 1), 10, (1.0,), (1.0,)).model).flops


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((1, "about 1 minute"), (89, "about 1 minute"), (91, "about 2 minutes"), (5300, "about 88 minutes")),
        *((5500, "about 2 hours"), (100_000, "about 28 hours"), (400_000, "about 5 days")),
    ],
)
def test_times_are_said_as_roughly_as_they_are_known(seconds, words):
    assert forecast._about(seconds) == words


def test_teachers_with_few_steps_are_said_to_be_that(tmp_path):
    context = Context(settings.Settings(workdir=str(tmp_path), batch_size=12, teacher_epochs=20))
    context.data = tiny.make_splits()
    assert diagnosis._steps(context) == 60
    given = Context(settings.Settings(workdir=str(tmp_path), batch_size=12, teachers=("mine.keras",)))
    given.data = context.data
    assert diagnosis._steps(given) == 0
