"""One uninterrupted run for all tests of a file."""

import pytest
import scenes


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    return scenes.Stages(tmp_path_factory.mktemp("faults"))
