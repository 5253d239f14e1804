"""Who teaches in a run, and where what they say is."""

import dataclasses

import pytest

from okd_tf import settings
from okd_tf.pipeline.context import Context


@pytest.mark.parametrize("bank", ["", "elsewhere"])
def test_who_teaches_in_a_run_teaches_in_those_whose_origin_it_is(tmp_path, bank):
    chosen = settings.Settings(workdir=str(tmp_path / "run"), assistant=("resnet14", "resnet8"), bank=bank)
    origin = Context(chosen)
    borrowing = Context(dataclasses.replace(chosen, workdir=str(tmp_path / "run/compare/a")), origin=origin)
    for folder in (origin.workdir, borrowing.workdir):
        network = folder / "teachers" / "teacher_00.keras"
        network.parent.mkdir(parents=True)
        network.touch()
    for teaching in (origin.teaching, borrowing.teaching):
        assert teaching.teacher_paths() == [tmp_path / "run/teachers/teacher_00.keras"]
        assert str(teaching.bank_folder) == (bank or str(tmp_path / "run/bank"))
        assert teaching.assistant_path(1) == tmp_path / "run/assistant/assistant_01.keras"
        assert teaching.assistant_bank_folder(1) == tmp_path / "run/assistant/bank_01"
    # What was loaded and checked for one is not loaded again for the other.
    assert borrowing.teaching is origin.teaching
