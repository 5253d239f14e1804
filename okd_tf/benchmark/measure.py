"""Comparison of steps on a noisy machine: all cases in turn, round after round, and medians."""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from okd_tf import progress

REFERENCE, PEAK = "ce", "gemm"
STATUS = pathlib.Path("/proc/self/status")
WARM_UP = 3  # steps before the first turn; the first of them traces


@dataclasses.dataclass(frozen=True)
class Turn:
    """The measurement of one turn of a case.

    Attributes:
        seconds_per_step: the mean over the turn.
        peak_rss_bytes: peak resident memory of its process since its start; None where the system does not
            report it.
    """

    seconds_per_step: float
    peak_rss_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Ready:
    """The properties of a case before its first turn: `images` and `flops` as in `Case`, and peak memory."""

    images: int | None
    flops: float | None
    peak_rss_bytes: int | None


class Runner(Protocol):
    """A case that is ready to run, in this process or another."""

    ready: Ready

    def turn(self, seconds: float) -> Turn:
        """Run the case for at least `seconds`; return the measurement."""


@dataclasses.dataclass(frozen=True)
class Result:
    """The measured figures of a case; None where it has no such figure.

    Attributes:
        what: name of the case.
        images_per_s: training images per second, the median of the rounds.
        ratio_to_ce: time per image over that of the plain step, the median of the ratios of each round.
        arithmetic_ratio: FLOPs per image over those of the plain step.
        gflops_per_s: FLOPs over time, in 10^9 per second.
        share_of_gemm: FLOPs over time, over those of the matrix product, the median of each round's.
        peak_rss_bytes: peak memory of its process, which does nothing else: TensorFlow, the examples and
            mapped pages of files included.
        rss_growth_bytes: the part of that peak that came after the first steps.
    """

    what: str
    images_per_s: float | None
    ratio_to_ce: float | None
    arithmetic_ratio: float | None
    gflops_per_s: float | None
    share_of_gemm: float | None
    peak_rss_bytes: int | None
    rss_growth_bytes: int | None


def interleaved(
    runners: Mapping[str, Runner], rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Result]:
    """Time all cases in turn for some rounds; return their results.

    Args:
        runners: the cases to measure, by name.
        rounds: number of rounds.
        seconds: least time that each case runs in a round.
        say: called with lines of progress.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in runners}
    started = time.perf_counter()
    for number in range(rounds):
        for name, runner in runners.items():
            turns[name].append(runner.turn(seconds))
        left = (time.perf_counter() - started) / (number + 1) * (rounds - number - 1)
        say(f"benchmark: round {number + 1} of {rounds}, {progress.duration(left)} left")
    return compared({name: runner.ready for name, runner in runners.items()}, turns)


def compared(ready: Mapping[str, Ready], turns: Mapping[str, list[Turn]]) -> list[Result]:
    """Return the results, given each case's turns, one a round."""
    return [_result(name, ready, turns) for name in ready]


def turn(step: Callable[[], Any], seconds: float) -> Turn:
    """Run a step repeatedly for at least `seconds`; return the measurement.

    The first step is not timed: it finds the caches cold, and more batches ready than one step has time to
    make.
    """
    step()
    started, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - started < seconds:
        step()
        steps += 1
    return Turn((time.perf_counter() - started) / steps, peak_rss_bytes())


def peak_rss_bytes() -> int | None:
    """Return this process's peak resident memory, mapped files included; None where it is not reported."""
    if not STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return 1024 * int(fields["VmHWM"].split()[0])


def table(results: list[Result]) -> str:
    """Return the results as lines of text."""
    lines = [
        f"{'what':22}{'images/s':>10}{'GFLOP/s':>9}{'of gemm':>9}{'time / ce':>11}{'FLOPs / ce':>12}"
        f"{'peak MiB':>10}{'growth':>8}"
    ]
    for result in results:
        lines.append(
            f"{result.what:22}"
            f"{_cell(result.images_per_s, '.0f', 10)}"
            f"{_cell(result.gflops_per_s, '.1f', 9)}"
            f"{_cell(result.share_of_gemm, '.2f', 9)}"
            f"{_cell(result.ratio_to_ce, '.4f', 11)}"
            f"{_cell(result.arithmetic_ratio, '.2f', 12)}"
            f"{_cell(_mebibytes(result.peak_rss_bytes), '.0f', 10)}"
            f"{_cell(_mebibytes(result.rss_growth_bytes), '.0f', 8)}"
        )
    return "\n".join(lines)


def _result(name, ready, turns):
    mine, images = ready[name], ready[name].images
    seconds = statistics.median(turn.seconds_per_step for turn in turns[name])
    reference, peak = ready.get(REFERENCE), ready.get(PEAK)
    like_ce = reference and images
    peaks = [turns[name][-1].peak_rss_bytes, mine.peak_rss_bytes]
    return Result(
        what=name,
        images_per_s=images / seconds if images else None,
        ratio_to_ce=_ratio(turns, name, REFERENCE) / (images / reference.images) if like_ce else None,
        arithmetic_ratio=mine.flops / images / (reference.flops / reference.images)
        if like_ce and mine.flops
        else None,
        gflops_per_s=mine.flops / seconds / 1e9 if mine.flops else None,
        share_of_gemm=mine.flops / peak.flops / _ratio(turns, name, PEAK) if peak and mine.flops else None,
        peak_rss_bytes=peaks[0],
        rss_growth_bytes=None if None in peaks else peaks[0] - peaks[1],
    )


def _ratio(turns, name, other):
    """Return the median over the rounds of one case's time per step over another's."""
    pairs = zip(turns[name], turns[other], strict=True)
    return statistics.median(a.seconds_per_step / b.seconds_per_step for a, b in pairs)


def _mebibytes(size):
    return None if size is None else size / 2**20


def _cell(value, form, width):
    return f"{'-' if value is None else format(value, form):>{width}}"
