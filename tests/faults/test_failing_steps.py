"""A stop, a loss that is not a number, memory that runs out: one line, and then the same bits."""

import signal

import kills
import pytest


@pytest.mark.slow
def test_a_stage_that_does_not_train_stops_at_once_when_it_is_asked_from_outside(stages):
    stages.measured("bank")
    stages.before("bank")
    attempt = stages.start("bank")
    assert stages.wait_until_begun("bank", attempt)
    attempt.send(signal.SIGTERM)
    assert attempt.wait() == 143, attempt.output + attempt.errors
    assert attempt.errors.count("\n") == 1, attempt.errors
    kills.finish(stages, "bank")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short", "short_student", "short_pair"])
def test_a_loss_that_is_not_a_number_names_its_step_and_goes_on_when_the_cause_is_gone(stages, name):
    stages.measured(name)
    stages.before(name)
    attempt = stages.start(name, "NaN:::3", flags=("--checkpoint_steps=2",))
    assert attempt.wait() == 2, attempt.output + attempt.errors
    assert attempt.errors.count("\n") == 1, attempt.errors
    assert attempt.errors.startswith("error: not finite at step 3: ")
    assert "--learning_rate" in attempt.errors
    folder = stages.workdir / ("search" if name == "short" else "student")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step_0000000002"]
    kills.finish(stages, name)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["MemoryError", "exhausted"])
def test_memory_that_runs_out_is_one_line_and_then_the_same_command_goes_on(stages, what):
    stages.measured("short_student")
    stages.before("short_student")
    attempt = stages.start("short_student", f"{what}:step:student *:4")
    assert attempt.wait() == 2, attempt.output + attempt.errors
    assert attempt.errors.count("\n") == 1, attempt.errors
    assert "memory" in attempt.errors
    assert "--batch_size" in attempt.errors
    kills.finish(stages, "short_student")
