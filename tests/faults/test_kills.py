"""A stage that is killed ends in the same bits."""

import kills
import pytest
import scenes


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, scene in scenes.SCENES.items() if scene.stage != "search"])
def test_a_killed_stage_ends_in_the_same_bits(stages, name):
    kills.play(stages, name)


def test_there_are_fifty_kills_and_some_in_every_stage():
    assert kills.COUNT >= 50
    assert all(kills.AIMED[name] for name in scenes.SCENES)
