"""Comparing steps on a noisy machine: all cases in turn, round after round, and medians."""

import dataclasses
import statistics
import time
from collections.abc import Callable

from okd_tf.benchmark.cases import Case, Setup
from okd_tf.training import progress

REFERENCE = "ce"


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of a case.

    Attributes:
        what: its name.
        images_per_s: training images per second, the median of the rounds.
        ratio_to_ce: time per image over that of the plain step, the median of the ratios of each round;
            None if that was not measured.
        arithmetic_ratio: FLOPs per image over those of the plain step.
        gflops_per_s: FLOPs over time.
    """

    what: str
    images_per_s: float
    ratio_to_ce: float | None
    arithmetic_ratio: float | None
    gflops_per_s: float


def interleaved(
    makers: dict[str, Callable[[Setup], Case]],
    setup: Setup,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> list[Result]:
    """Times all cases in turn for some rounds.

    Args:
        makers: what to measure, by name.
        setup: what they have in common.
        rounds: how often.
        seconds: how long each case runs in a round, at least.
        say: takes lines of progress.
    """
    cases = {}
    for name, make in makers.items():
        say(f"benchmark: preparing {name}")
        cases[name] = make(setup)
        for _ in range(3):  # the first call traces
            cases[name].step()
    per_step: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            per_step[name].append(_seconds_per_step(case, seconds))
        left = progress.duration((rounds - number - 1) * seconds * len(cases))
        say(f"benchmark: round {number + 1} of {rounds}, {left} left")
    reference = per_step.get(REFERENCE)
    results = []
    for name, times in per_step.items():
        median = statistics.median(times)
        results.append(
            Result(
                what=name,
                images_per_s=setup.batch_size / median,
                ratio_to_ce=statistics.median(a / b for a, b in zip(times, reference, strict=True))
                if reference
                else None,
                arithmetic_ratio=cases[name].flops / cases[REFERENCE].flops if reference else None,
                gflops_per_s=cases[name].flops * setup.batch_size / median / 1e9,
            )
        )
    return results


def table(results: list[Result]) -> str:
    """The results as lines of text."""
    lines = [f"{'what':24}{'images/s':>10}{'GFLOP/s':>10}{'time / ce':>12}{'FLOPs / ce':>12}"]
    for result in results:
        ratios = [
            "-" if ratio is None else f"{ratio:.2f}"
            for ratio in (result.ratio_to_ce, result.arithmetic_ratio)
        ]
        lines.append(
            f"{result.what:24}{result.images_per_s:>10.0f}{result.gflops_per_s:>10.1f}"
            f"{ratios[0]:>12}{ratios[1]:>12}"
        )
    return "\n".join(lines)


def _seconds_per_step(case: Case, seconds: float) -> float:
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        case.step()
        steps += 1
    return (time.perf_counter() - started) / steps
