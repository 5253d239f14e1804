"""One uninterrupted run for all tests of a process."""

import pytest

pytest.register_assert_rewrite("kills")

import scenes  # noqa: E402  the line above has to be the first


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    return scenes.Stages(tmp_path_factory.mktemp("faults"))
