"""The table that configs/results/photos.py makes of its trials, by hand."""

import json
import pathlib
import runpy

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "configs" / "results" / "photos.py"


def _trial(student, cpu_seconds, **opponents):
    named = {
        f"{name[1:]} epochs, batch 32": {"accuracy": accuracy, "cpu_seconds": seconds}
        for name, (accuracy, seconds) in opponents.items()
    }
    return {"student": student, "baseline": 0.5, "cpu_seconds": cpu_seconds, "opponents": named}


@pytest.fixture
def script(monkeypatch):
    # Its flags are those of a program of its own.
    monkeypatch.setattr("absl.flags.DEFINE_string", lambda *_, **__: None)
    monkeypatch.setattr("absl.flags.DEFINE_list", lambda *_, **__: None)
    monkeypatch.setattr("absl.flags.DEFINE_integer", lambda *_, **__: None)
    return runpy.run_path(str(SCRIPT))


def test_the_opponent_is_the_best_of_those_that_had_no_more_time_in_all_trials(script, tmp_path):
    trials = [
        _trial(0.70, 100, _100=(0.60, 40), _300=(0.64, 90), _600=(0.90, 101)),
        _trial(0.72, 95, _100=(0.65, 40), _300=(0.66, 95), _600=(0.90, 80)),
    ]
    for number, one in enumerate(trials):
        path = tmp_path / "fruit" / f"trial_{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(one))
    found = script["_table"](tmp_path)
    fruit = found["draws"]["fruit"]
    assert list(found["draws"]) == ["fruit"]
    assert fruit["opponent_is"] == "300 epochs, batch 32"
    assert fruit["difference"] == found["mean_difference"] == pytest.approx(0.06)
    assert fruit["standard_error"] == pytest.approx(0.0)
    assert fruit["trials"] == trials


def test_a_schedule_that_would_take_longer_than_the_run_is_left_out(script):
    found = _trial(0.7, 100, _100=(0.6, 40))
    assert not script["_too_long"](found, 200)
    assert script["_too_long"](found, 300)
    assert not script["_too_long"](_trial(0.7, 100), 600)
