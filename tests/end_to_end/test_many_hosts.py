"""The tools over two workers on one shared workdir: the same results, and what is left when one goes."""

import json
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import workers

from okd_tf.export import saved_model
from okd_tf.training import checkpoint, history

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    *("--dataset=digits", "--train_examples=128", "--val_examples=32", "--batch_size=32", "--views=1"),
    *("--num_teachers=1", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=2"),
    *("--backbone=resnet8", "--backbone_width=8", "--strategy=gumbel", "--search_epochs=2"),
    *("--ops=conv_3x3,max_pool_3x3", "--candidates=2", "--student_epochs=2", "--steps_per_execution=2"),
    "--opponents=none",
    # A low rate: what is compared must not grow from rounding.
    *("--assistant=resnet8", "--assistant_width=8", "--assistant_epochs=1", "--learning_rate=0.01"),
)
SPREAD = "--distribution=multi_worker"
LONG = 300  # seconds, on a busy machine
NOTICED = 60  # seconds within which a worker that is gone ends the others


def _tool(name, workdir, *flags):
    return [ROOT / "tools" / name, f"--workdir={workdir}", *flags]


def _files(workdir):
    """The names of all files in a workdir, of events without what is of process and time."""
    names = (str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file())
    return sorted(re.sub(r"(events\.out\.tfevents).*", r"\1", name) for name in names)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(workdir of a run of one process, that of a run of two)."""
    folder = tmp_path_factory.mktemp("many_hosts")
    alone = subprocess.run(
        [sys.executable, *_tool("search.py", folder / "one", *SMALL)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert alone.returncode == 0, alone.stderr
    with workers.running(_tool("search.py", folder / "two", *SMALL, SPREAD)) as (lead, other):
        assert lead.wait(900) == 0, lead.said()
        assert other.wait(60) == 0, other.said()
        # One says what is done.
        assert len(other.lines) == 2, other.said()
        assert "student (oracle): epoch 2/2" in lead.said()
    return folder / "one", folder / "two"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_workers_leave_the_files_of_one_process_each_written_once(both):
    one, two = both
    assert _files(two) == _files(one)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_workers_find_and_train_what_one_process_does(both):
    for name in ("teachers/history_00", "search", "assistant/history_00", "student", "baseline"):
        rows, others = (history.read(workdir / name / "history.csv", 9) for workdir in both)
        assert len(rows) == len(others) > 0
        for row, other in zip(rows, others, strict=True):
            assert set(row) == set(other)
            for figure in set(row) - {"seconds"}:
                assert other[figure] == pytest.approx(row[figure], rel=1e-3, abs=1e-3), (name, figure)
    specs = [json.loads((workdir / "search" / "arch.json").read_text()) for workdir in both]
    assert specs[0]["add_ons"] == specs[1]["add_ons"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_what_two_workers_export_runs_where_there_are_none(both):
    _, two = both
    images = tf.constant(np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1))
    probabilities = saved_model.read(two / "export" / "saved_model")(images=images)["probabilities"]
    np.testing.assert_allclose(probabilities.numpy().sum(axis=-1), 1, atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_tool_that_trains_nothing_needs_no_other_workers(both):
    _, two = both
    done = subprocess.run(
        [sys.executable, *_tool("evaluate.py", two)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "evaluate: complete, not run again" in done.stdout


def _training(workdir, epochs):
    """A training of so many epochs, with a checkpoint at each step."""
    flags = [flag for flag in SMALL if "epochs" not in flag and "assistant" not in flag]
    flags += [f"--teacher_epochs={epochs}", "--checkpoint_seconds=0", SPREAD]
    return _tool("train_teachers.py", workdir, *flags)


def _saved(workdir):
    return checkpoint.steps(workdir / "teachers" / "history_00" / "checkpoints")


def _runs(workdir, running, above):
    """Waits until a checkpoint above this step is there."""
    there = workers.until(lambda: _saved(workdir) and _saved(workdir)[-1] > above, LONG)
    assert there, "".join(worker.said() for worker in running)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_others_and_all_go_on_from_the_checkpoint(tmp_path):
    workdir, reached = tmp_path / "run", 0
    for gone, there in ((1, 0), (0, 1)):
        with workers.running(_training(workdir, 60)) as running:
            _runs(workdir, running, reached)
            running[gone].process.kill()
            assert running[there].wait(NOTICED) == 75, running[there].said()
            (line,) = running[there].errors
            assert re.match(rf"error: worker {gone} \(127\.0\.0\.1:\d+\) is gone.*on all workers again", line)
            if reached:
                assert f"going on from step {reached} of 240" in "".join(running[0].lines)
            reached = _saved(workdir)[-1]
            assert 0 < reached < 240
    with workers.running(_training(workdir, 60)) as (lead, other):
        assert lead.wait(LONG) == 0, lead.said()
        assert other.wait(60) == 0, other.said()
    assert f"going on from step {reached} of 240" in "".join(lead.lines)
    assert len(history.read(workdir / "teachers" / "history_00" / "history.csv", 99)) == 60


@pytest.mark.exhaustive
@pytest.mark.slow
def test_workers_of_which_one_is_asked_to_stop_all_stop_at_one_step_which_is_saved(tmp_path):
    workdir = tmp_path / "run"
    with workers.running(_training(workdir, 60)) as running:
        _runs(workdir, running, 0)
        running[1].process.send_signal(signal.SIGTERM)
        assert [worker.wait(NOTICED) for worker in running] == [143, 143]
        steps = [
            re.search(r"stopped by SIGTERM: .*, step (\d+) of 240", worker.errors[-1]) for worker in running
        ]
        assert steps[0][1] == steps[1][1] == str(_saved(workdir)[-1])
        assert "it was worker 1 (127.0.0.1" in running[0].errors[-1]
        assert "it was" not in running[1].errors[-1]
    with workers.running(_training(workdir, 60)) as (lead, other):
        assert lead.wait(LONG) == 0, lead.said()
        assert other.wait(60) == 0, other.said()
    assert f"going on from step {steps[0][1]} of 240" in "".join(lead.lines)
