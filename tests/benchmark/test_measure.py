"""How times are compared, on a clock that is told."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from okd_tf.benchmark import cases, measure

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "benchmark.py"
SETUP = cases.Setup("resnet8", 8, batch_size=10, image_size=8, classes=3, ops=("identity",))


@pytest.fixture
def measured(monkeypatch):
    """Three rounds of two cases on a machine that is slower in the second: (results, order of steps)."""
    clock, order = [0.0], []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    rounds = {"ce": iter([1.0, 2.0, 1.0]), "slow": iter([3.0, 8.0, 2.0])}
    prepared = {"ce": 0, "slow": 0}

    def make(name, flops):
        def step():
            prepared[name] += 1
            if prepared[name] > 3:  # those before are not timed
                order.append(name)
                clock[0] += next(rounds[name])

        return lambda setup: cases.Case(step, flops)

    makers = {"ce": make("ce", 3e9), "slow": make("slow", 6e9)}
    return measure.interleaved(makers, SETUP, rounds=3, seconds=0.5, say=lambda line: None), order


def test_cases_take_turns(measured):
    assert measured[1] == ["ce", "slow"] * 3


def test_figures_are_medians_and_ratios_are_within_a_round(measured):
    ce, slow = measured[0]
    assert dataclasses.astuple(ce) == ("ce", 10.0, 1.0, 1.0, pytest.approx(30.0))
    # Ratios of the rounds: 3, 4, 2. Times: 3, 8, 2 s for 10 images.
    assert dataclasses.astuple(slow) == ("slow", pytest.approx(10 / 3), 3.0, 2.0, pytest.approx(20.0))


def test_without_the_reference_there_are_no_ratios():
    def make(setup):
        return cases.Case(lambda: None, 1.0)

    (only,) = measure.interleaved({"other": make}, SETUP, rounds=1, seconds=0.0001, say=lambda line: None)
    assert (only.ratio_to_ce, only.arithmetic_ratio) == (None, None)
    assert "-" in measure.table([only])


def _run(*flags):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, TOOL, *map(str, flags)], capture_output=True, text=True, check=False, env=environment
    )


def test_the_tool_knows_every_case_without_tensorflow():
    done = _run("--what=none")
    (line,) = done.stderr.strip().splitlines()
    assert line.endswith(f"valid: {', '.join(sorted(cases.CASES))}")


def test_the_tool_writes_what_it_shows(tmp_path):
    path = tmp_path / "out.json"
    done = _run(
        *("--what=ce,search_random", f"--json={path}", "--rounds=1", "--seconds=0.01", "--batch_size=2"),
        *("--backbone=resnet8", "--backbone_width=8", "--image_size=8", "--classes=3", "--ops=identity"),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert [result["what"] for result in results] == ["ce", "search_random"]
    assert results[0]["ratio_to_ce"] == 1.0
    assert all(result["images_per_s"] > 0 for result in results)
    assert f"{results[1]['images_per_s']:.0f}" in done.stdout


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--what=search_dart", "search_darts"),
        ("--what=", "nothing to time"),
        ("--ops=conv_7x7", "conv_3x3"),
        ("--backbone=resnet9", "resnet8"),
        ("--json=/proc/none/out.json", "/proc/none/out.json"),
        ("--rounds=0", "--rounds"),
    ],
)
def test_what_cannot_be_used_is_one_line(flag, expected):
    done = _run(flag)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    assert expected in line
    assert "Traceback" not in done.stderr
