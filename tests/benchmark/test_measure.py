"""How times are compared, on a clock that is told."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from okd_tf.benchmark import cases, measure

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "benchmark.py"


class Runner:
    """Takes as long in its turns as it is told."""

    def __init__(self, name, order, ready, times):
        self.ready = ready
        self._name, self._order, self._times = name, order, iter(times)

    def turn(self, seconds):
        self._order.append(self._name)
        return measure.Turn(next(self._times), 100 + 10 * len(self._order))


# Of 3, 6 and 2 GFLOPs a step; 10, 20 and no images.
READY = {
    "ce": measure.Ready(10, 3e9, 100),
    "slow": measure.Ready(20, 6e9, 100),
    "gemm": measure.Ready(None, 2e9, None),
    "input": measure.Ready(10, None, 100),
}
TIMES = {"ce": [1.0, 2.0, 1.0], "slow": [3.0, 8.0, 2.0], "gemm": [0.5, 0.5, 0.25], "input": [0.1, 0.2, 0.4]}


@pytest.fixture
def measured():
    """Three rounds on a machine that is slower in the second: (results by name, order of turns)."""
    order = []
    runners = {name: Runner(name, order, READY[name], TIMES[name]) for name in READY}
    results = measure.interleaved(runners, rounds=3, seconds=0.5, say=lambda line: None)
    return {result.what: result for result in results}, order


def test_cases_take_turns(measured):
    assert measured[1] == ["ce", "slow", "gemm", "input"] * 3


def test_rates_are_of_the_median_time(measured):
    ce, slow, gemm, alone = measured[0].values()
    assert (ce.images_per_s, ce.gflops_per_s) == (10.0, pytest.approx(3.0))
    # Times: 3, 8, 2 s for 20 images.
    assert (slow.images_per_s, slow.gflops_per_s) == (pytest.approx(20 / 3), pytest.approx(2.0))
    assert (gemm.images_per_s, gemm.gflops_per_s) == (None, pytest.approx(4.0))
    assert (alone.images_per_s, alone.gflops_per_s) == (pytest.approx(50.0), None)


def test_ratios_are_within_a_round_and_for_an_image(measured):
    ce, slow, gemm, alone = measured[0].values()
    assert (ce.ratio_to_ce, ce.arithmetic_ratio) == (1.0, 1.0)
    # Ratios of the rounds, of steps: 3, 4, 2; a step has twice the images.
    assert (slow.ratio_to_ce, slow.arithmetic_ratio) == (1.5, 1.0)
    assert (gemm.ratio_to_ce, gemm.arithmetic_ratio) == (None, None)
    assert (alone.ratio_to_ce, alone.arithmetic_ratio) == (pytest.approx(0.1), None)


def test_shares_of_the_matrix_product_are_within_a_round(measured):
    ce, slow, gemm, alone = measured[0].values()
    # GFLOP/s of ce: 3, 1.5, 3; of slow: 2, 0.75, 3; of the product: 4, 4, 8.
    assert ce.share_of_gemm == pytest.approx(0.375)
    assert slow.share_of_gemm == pytest.approx(0.375)
    assert (gemm.share_of_gemm, alone.share_of_gemm) == (1.0, None)


def test_memory_is_that_of_the_last_turn_and_grows_from_the_first_steps(measured):
    ce, _, gemm, _ = measured[0].values()
    assert (ce.peak_rss_bytes, ce.rss_growth_bytes) == (190, 90)
    assert gemm.rss_growth_bytes is None


def test_what_was_not_measured_is_not_compared():
    (only,) = measure.compared({"slow": READY["slow"]}, {"slow": [measure.Turn(2.0, None)]})
    assert (only.ratio_to_ce, only.arithmetic_ratio, only.share_of_gemm) == (None, None, None)
    assert (only.peak_rss_bytes, only.rss_growth_bytes) == (None, None)
    assert "-" in measure.table([only])


def test_the_first_step_of_a_turn_is_not_timed(monkeypatch):
    clock, lengths = [0.0], iter([100.0, 2.0, 4.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def step():
        clock[0] += next(lengths)

    assert measure.turn(step, 5.0).seconds_per_step == 3.0


def test_the_peak_of_memory_is_what_the_system_tells(monkeypatch, tmp_path):
    status = tmp_path / "status"
    monkeypatch.setattr(measure, "STATUS", status)
    assert measure.peak_rss_bytes() is None
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    assert measure.peak_rss_bytes() == 2 * 2**20


def _run(*flags):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, TOOL, *map(str, flags)], capture_output=True, text=True, check=False, env=environment
    )


def test_the_tool_knows_every_case_without_tensorflow():
    done = _run("--what=none")
    (line,) = done.stderr.strip().splitlines()
    assert line.endswith(f"valid: {', '.join(sorted(cases.CASES))}")


KEYS = ["what", "images_per_s", "ratio_to_ce", "arithmetic_ratio", "gflops_per_s", "share_of_gemm"]


@pytest.mark.slow
def test_the_tool_writes_what_it_shows_and_leaves_no_bank(tmp_path):
    path, bank = tmp_path / "out.json", tmp_path / "bank"
    bank.mkdir()
    done = _run(
        *(
            "--what=gemm,ce,bank_read:3",
            f"--json={path}",
            f"--bank_dir={bank}",
            "--rounds=1",
            "--seconds=0.01",
        ),
        *("--backbone=resnet8", "--backbone_width=8", "--batch_size=2", "--image_size=8", "--classes=3"),
        "--train_examples=8",
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert [result["what"] for result in results] == ["gemm", "ce", "bank_read:3"]
    assert all(list(result) == [*KEYS, "peak_rss_bytes", "rss_growth_bytes"] for result in results)
    assert (results[0]["share_of_gemm"], results[1]["ratio_to_ce"]) == (1.0, 1.0)
    assert all(result["images_per_s"] > 0 for result in results[1:])
    assert f"{results[1]['images_per_s']:.0f}" in done.stdout
    assert not list(bank.iterdir())


@pytest.mark.slow
def test_what_a_case_refuses_is_one_line_and_leaves_no_bank(tmp_path):
    done = _run("--what=ce", f"--bank_dir={tmp_path}", "--batch_size=16", "--train_examples=8")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: --batch_size: 16 is more than the 8 examples")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--what=search_dart"], "search_darts"),
        (["--what="], "nothing to time"),
        (["--what=ce:3"], "goes with bank"),
        (["--what=bank:0"], "from 1"),
        (["--what=ce,ce"], "names one twice"),
        (["--views=0"], "at least 1"),
        (["--batch_size=0"], "--batch_size: 0 leaves it to the data"),
        (["--precision=float61"], "did you mean float16"),
        (["--dataset=digits", "--image_size=8"], "--image_size requires --dataset=noise (got digits)"),
        (["--bank_dir=/proc/none"], "--bank_dir: /proc/none"),
        (["--ops=conv_7x7"], "conv_3x3"),
        (["--backbone=resnet9"], "resnet8"),
        pytest.param(["--teacher_backbone=resnet9"], "--teacher_backbone", marks=pytest.mark.slow),
        pytest.param(["--backbone=vgg8", "--image_size=7"], "8x8 pixels and more", marks=pytest.mark.slow),
        (["--json=/proc/none/out.json"], "/proc/none/out.json"),
        (["--rounds=0"], "--rounds"),
    ],
)
def test_what_cannot_be_used_is_one_line(flags, expected):
    done = _run(*flags)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    assert expected in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_flags_that_cannot_be_used_leave_the_results_of_before(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("[]")
    assert _run("--what=ce", f"--json={path}", "--batch_size=16", "--train_examples=8").returncode == 2
    assert path.read_text() == "[]"
    assert list(tmp_path.iterdir()) == [path]
