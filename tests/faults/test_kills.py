"""A stage that is killed ends in the same bits, whatever the moment."""

import kills
import pytest
import runs
import scenes

from okd_tf import settings

SLOW = [name for name in scenes.SCENES if "short" not in name]
# Trainings as those of the others, of which CI has no time for all.
EXHAUSTIVE = ("mutual", "assistant", "choice", "finals", "budgets", "opponents", "trials")


@pytest.mark.slow
def test_a_run_killed_five_times_ends_in_the_same_bits(stages):
    assert kills.count(["short"]) == 5
    kills.play(stages, "short")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_forked_tool_leaves_what_one_does_that_a_user_starts(stages):
    stages.measured("short")
    stages.before("short")
    done = runs.as_a_user(*stages.flags("short"))
    assert done.returncode == 0, done.stderr
    assert stages.differences("short", checkpoints=False) == []


def test_there_are_fifty_kills_and_some_in_every_stage():
    assert kills.count(SLOW) >= 50
    assert {scenes.SCENES[name].stages for name in SLOW} == set(settings.STAGES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.exhaustive] if name in EXHAUSTIVE else [])
        for name in SLOW
        if scenes.SCENES[name].stages != "search"
    ],
)
def test_a_killed_stage_ends_in_the_same_bits(stages, name):
    kills.play(stages, name)
