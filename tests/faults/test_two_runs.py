"""Two runs in one workdir: the second is refused while the first lives, and takes over when it was killed."""

import signal

import kills
import pytest
import runs


@pytest.mark.slow
def test_a_second_run_is_refused_in_one_line_and_takes_over_from_one_that_was_killed(stages):
    stages.measured("short_student")
    stages.before("short_student")
    first = stages.start("short_student")
    assert stages.wait_until_begun("short_student", first)
    first.send(signal.SIGSTOP)
    refused = runs.as_a_user(*stages.flags("short_student"))
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"error: --workdir: {stages.workdir} is in use by process {first.pid} on "
    )
    assert refused.stderr.count("\n") == 1
    assert not refused.stdout
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kills.finish(stages, "short_student")
