"""Where a stage is killed or stopped, and that it ends in the same bits all the same.

What strikes a stage forms a chain: the run is killed, goes on, is killed again, and at its end is held
against the uninterrupted one. A kill so costs one start, and each after the first strikes a resumed run.
"""

import random
import re
import signal

_SEARCH = (
    "SIGKILL:step:search*:2",  # after a step, before its checkpoint
    "SIGTERM:step:search*:1",
    "halve:replace:checkpoints/step_*:2",  # while a checkpoint is written
    "SIGINT:step:search*:1",
    "halve:replace:search/arch.json",
)
AIMED = {  # by scene, in the order in which they can strike
    "teachers": (
        "SIGKILL:step:teacher 1 *:3",
        "halve:replace:history_00/checkpoints/step_*:1",
        "halve:replace:teachers/teacher_00.keras",
        "SIGKILL:replaced:teachers/teacher_00.keras",
        "halve:replace:history_01/checkpoints/step_*:2",
        "SIGTERM:step:teacher 2 *:1",
        "SIGINT:step:teacher 2 *:2",
        "SIGKILL:remove:history_01/checkpoints",
        "halve:replace:teachers/diagnosis.json",
    ),
    "bank": (
        "halve:replace:bank/bank.json",
        "halve:replace:train/view_000_*.f16",
        "SIGKILL:replaced:train/view_000_*.f16",  # it has its name, and no line in shards.sha256
        "halve:sync:bank/shards.sha256:2",
        "SIGKILL:replaced:bank/seen.u8",
    ),
    "darts": (*_SEARCH[:-1], "SIGKILL:replaced:search/candidates.json", _SEARCH[-1]),
    "gumbel": _SEARCH,
    "reinforce": (*_SEARCH[:-1], "SIGKILL:remove:search/checkpoints"),
    "random": _SEARCH,
    "assistant": (
        "SIGKILL:replaced:history_00/checkpoints/step_*:2",
        "SIGTERM:step:assistant *:1",
        "SIGINT:step:assistant *:1",
        "halve:replace:assistant/assistant_00.keras",
        "halve:replace:assistant/metrics.json",
        "SIGKILL:remove:assistant/history_00/checkpoints",  # all is there, and more
    ),
    "choice": (
        "SIGKILL:step:choice 1/4*:3",
        "halve:replace:choice/mean/checkpoints/step_*:2",
        "SIGKILL:step:choice 2/4*:1",
        "halve:replace:choice/oracle/student.keras",
        "SIGKILL:replaced:choice/dkd/student.keras",  # and its metrics.json is not there
        "halve:replace:choice/choice.json",
    ),
    "finals_search": ("halve:replace:search/finalists.json", "SIGKILL:replaced:search/finalists.json"),
    "budgets_search": (
        "halve:replace:params_1000/candidates.json",
        "SIGKILL:replaced:params_1000/candidates.json",
        "halve:replace:params_1000/arch.json",
    ),
    "budgets": (
        "SIGKILL:step:student*:2",
        "halve:replace:budgets/1000/student/student.keras",
        "SIGKILL:replaced:budgets/1000/student/metrics.json",
        "halve:replace:budgets/1000/stages.json:2",
    ),
    "finals": (
        "SIGKILL:step:finals 1/1, 1/2*:2",
        "halve:replace:round_1/01/student.keras",
        "SIGKILL:step:finals 1/1, 2/2*:1",
        "SIGKILL:replaced:round_1/02/student.keras",  # and its metrics.json is not there
        "halve:replace:finals/finals.json",
        "SIGKILL:replaced:finals/finals.json",  # and there is no arch.json
    ),
    "student": (
        "halve:replace:bank_00/train/view_001_*.f16",  # of what the assistant says
        "SIGKILL:step:student*:2",
        "SIGTERM:step:student *:1",
        "halve:replace:student/checkpoints/step_*:2",
        "SIGINT:step:student *:1",
        "halve:replace:student/student.keras",
        "SIGKILL:replaced:student/student.keras",  # and its metrics.json is not there
    ),
    "mutual": (
        "halve:replace:student/checkpoints/step_*:2",
        "SIGTERM:step:student *:1",
        "SIGINT:step:student *:1",
        "SIGKILL:replaced:student/student.keras",  # and its peer is not there
        "halve:replace:student/peer.keras",
    ),
    "baseline": (
        "SIGKILL:step:baseline *:3",
        "SIGTERM:step:baseline *:1",
        "SIGINT:step:baseline *:1",
        "halve:replace:baseline/metrics.json",
    ),
    "opponents": (
        "SIGKILL:step:opponent 1/*:3",
        "halve:replace:opponents/bare/student.keras",
        "halve:replace:opponents/opponents.json",
        "SIGKILL:replaced:opponents/opponents.json",
    ),
    "trials": (
        "SIGKILL:step:student *:3",
        "halve:replace:trials/1/student/student.keras",
        "SIGKILL:replaced:trials/1/student/metrics.json",
        "halve:replace:trials/1/stages.json:2",
    ),
    "evaluate": ("halve:replace:student/metrics.json", "SIGKILL:replaced:student/metrics.json"),
    "export": (
        "halve:replace:export/saved_model",
        "SIGKILL:replaced:export/saved_model",
        "halve:replace:export/student_int8.tflite",
        "halve:replace:export/report.json",
    ),
    "report": ("halve:replace:report.md", "SIGKILL:replaced:report.md"),
    "short": (
        "halve:replace:train/view_001_*.f16",
        "halve:replace:search/checkpoints/step_*:3",
        "halve:replace:search/arch.json",
        "SIGKILL:step:student*:3",
        "halve:replace:student/student.keras",
    ),
}
TIMED = {  # by scene, how many kills come from outside at any time
    "teachers": 2,
    "darts": 1,
    "gumbel": 1,
    "reinforce": 1,
    "random": 1,
    "assistant": 1,
    "student": 1,
    "mutual": 1,
    "baseline": 1,
    "export": 1,
}
TOUCHED = {
    "bank": 2,
    "evaluate": 1,
    "report": 1,
}  # of stages that are over in no time, at any touch of a file


def count(names):
    """How many kills these scenes have in all."""
    aimed = sum(fault.startswith(("SIGKILL", "halve")) for name in names for fault in AIMED[name])
    return aimed + sum(TIMED.get(name, 0) + TOUCHED.get(name, 0) for name in names)


def play(stages, name):
    """Plays a scene with all that strikes it."""
    generator = random.Random(name)
    _, touches = stages.measured(name)
    stages.before(name)
    for fault in AIMED[name]:
        if fault.startswith(("SIGTERM", "SIGINT")):
            stop(stages, name, fault)
        else:
            strike(stages, name, fault)
    for _ in range(TOUCHED.get(name, 0)):
        strike(stages, name, f"SIGKILL:touch:*:{generator.randint(1, touches // 3)}")
    missed = 0
    for _ in range(TIMED.get(name, 0)):
        while not strike_at_any_time(stages, name, generator):
            # It was over: as good an end as any, and another beginning.
            missed += 1
            assert missed < 5, "no kill comes in time"
            assert stages.differences(name) == []
            stages.before(name)
    finish(stages, name)


def strike(stages, name, fault):
    """Kills a stage at a chosen moment; sees that it struck."""
    attempt = stages.start(name, fault)
    code = attempt.wait()
    assert code == -signal.SIGKILL, f"{fault}: {attempt.output[-2000:] + attempt.errors}"
    assert attempt.output.splitlines()[-1].startswith("struck: "), attempt.output
    assert stages.unfinished(name)


def stop(stages, name, fault):
    """Asks a training to stop; sees that it says where, in one line, and how to go on."""
    attempt = stages.start(name, fault)
    code = attempt.wait()
    signum = signal.Signals[fault.partition(":")[0]]
    assert code == 128 + signum, f"{fault}: {attempt.output[-2000:] + attempt.errors}"
    assert attempt.errors.count("\n") == 1, attempt.errors
    assert re.search(r", step \d of 8, is saved; the same command goes on", attempt.errors), attempt.errors
    assert stages.unfinished(name)


def strike_at_any_time(stages, name, generator):
    """Kills a stage at some moment; whether it was not over before."""
    attempt = stages.start(name)
    begun = stages.wait_until_begun(name, attempt)
    code = attempt.kill_after(generator.uniform(0, 0.7) * stages.measured(name)[0])
    if code == 0:
        return False
    assert begun, attempt.output
    assert code == -signal.SIGKILL, attempt.output[-2000:] + attempt.errors
    return bool(stages.unfinished(name))


def finish(stages, name):
    """Lets a stage end, and holds what it left against the uninterrupted run."""
    attempt = stages.start(name)
    assert attempt.wait() == 0, attempt.output + attempt.errors
    assert stages.differences(name) == []
