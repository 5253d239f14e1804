"""What importing okd_tf says to TensorFlow, which must be said before TensorFlow's own import."""

import importlib
import os

import pytest

import okd_tf


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_the_user_said_otherwise(monkeypatch, before, after):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if before is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", before)
    importlib.reload(okd_tf)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == after
