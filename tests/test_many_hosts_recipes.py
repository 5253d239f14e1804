"""The recipes of docs/many_hosts.md give each worker a TF_CONFIG that is read."""

import os
import pathlib
import re
import subprocess
import textwrap

import pytest

from okd_tf.training import cluster

RECIPES = pathlib.Path(__file__).parents[1] / "docs" / "many_hosts.md"


def _block(language):
    return re.search(rf"```{language}\n(.*?)```", RECIPES.read_text(encoding="utf-8"), re.DOTALL)[1]


def _command(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def _run(script, folder, **environment):
    """What the recipe hands to Python, where commands of the cluster are those in a folder."""
    _command(folder, "python", 'printf %s "$TF_CONFIG"; exit ${EXIT:-0}')
    return subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("number", [0, 1])
def test_slurm_tasks_are_workers_of_the_nodes(tmp_path, monkeypatch, number):
    _command(tmp_path, "scontrol", '[ "$1" = show ] && printf "node7\\nnode12\\n"')
    _command(tmp_path, "srun", 'shift; exec "$@"')
    done = _run(_block("bash"), tmp_path, SLURM_JOB_NODELIST="node[7,12]", SLURM_PROCID=str(number))
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("TF_CONFIG", done.stdout)
    assert cluster.read().addresses == ("node7:2222", "node12:2222")
    assert cluster.read().number == number


@pytest.mark.parametrize(("code", "again"), [(75, True), (137, True), (143, True), (2, False), (0, False)])
def test_a_slurm_job_is_queued_again_where_another_try_may_mend_it(tmp_path, code, again):
    _command(tmp_path, "scontrol", 'if [ "$1" = show ]; then echo node1; else echo "$@" > "$SAID"; fi')
    _command(tmp_path, "srun", 'shift; exec "$@"')
    said = tmp_path / "said"
    known = {"SLURM_JOB_NODELIST": "node1", "SLURM_PROCID": "0", "SLURM_JOB_ID": "42"}
    done = _run(_block("bash"), tmp_path, SAID=str(said), EXIT=str(code), **known)
    assert done.returncode == code
    assert said.exists() == again
    assert not again or said.read_text() == "requeue 42\n"
    said.unlink(missing_ok=True)
    _run(_block("bash"), tmp_path, SAID=str(said), EXIT=str(code), SLURM_RESTART_COUNT="20", **known)
    assert not said.exists()


def test_pods_are_workers_by_their_index(tmp_path, monkeypatch):
    script = textwrap.dedent(re.search(r"- \|\n(.*?)\n +ports:", _block("yaml"), re.DOTALL)[1])
    done = _run(script, tmp_path, JOB_COMPLETION_INDEX="1")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("TF_CONFIG", done.stdout)
    assert cluster.read().addresses == ("okd-tf-0.okd-tf:2222", "okd-tf-1.okd-tf:2222")
    assert cluster.read().number == 1
