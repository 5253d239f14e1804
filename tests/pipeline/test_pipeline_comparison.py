"""What cannot be compared."""

import pytest

from okd_tf import errors, settings
from okd_tf.pipeline import comparison


def test_a_run_that_searches_nothing_is_refused_before_anything_is_read(tmp_path):
    chosen = settings.Settings(workdir=str(tmp_path / "run"), strategy="none", dataset="npz:nowhere")
    with pytest.raises(errors.UserError, match=r"^--strategy: none searches nothing, and searches are "):
        comparison.run(chosen, ["random"], trials=1, sample=0)
    assert not (tmp_path / "run").exists()
