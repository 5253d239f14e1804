"""Fixtures that more than one folder of tests uses."""

import functools
import pathlib
import random
import signal

import hypothesis
import kinds
import numpy as np
import pytest
from absl import flags

from okd_tf import cli, data, settings, stopping
from okd_tf.data import splits as carving

# Derandomised: whether a test passes must not depend on the day. No deadline: the first example of a test
# pays for the graphs that the others reuse.
hypothesis.settings.register_profile("okd_tf", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("okd_tf")

PREPARED_DATA = pathlib.Path(__file__).parents[2] / "shared" / "tfds"


def pytest_runtest_setup():
    """No test may pass or fail by the weights it happens to draw: Keras seeds layers from here."""
    random.seed(0)


@pytest.fixture(scope="session")
def load_source(tmp_path_factory):
    """A dataset by name, or one of a kind, loaded once; skips the test if its data lies nowhere at hand."""

    @functools.cache
    def load(name):
        if name in kinds.KINDS:
            return kinds.KINDS[name](tmp_path_factory.mktemp(name))
        if name != "digits":
            _prepared(name)
        return data.load(name, str(PREPARED_DATA))

    return load


@pytest.fixture(scope="session")
def prepared_data():
    """The prepared folder of a dataset by name; skips the test if it is nowhere at hand."""
    return _prepared


def _prepared(name):
    if not (PREPARED_DATA / name).is_dir():
        pytest.skip(f"no prepared '{name}' in ../shared/tfds beside the repository")
    return PREPARED_DATA / name


@pytest.fixture(scope="session")
def digits(load_source):
    return load_source("digits")


@pytest.fixture(scope="session")
def splits(digits):
    return carving.carve(digits, seed=0)


@pytest.fixture
def signals():
    """Signals stop a program as those of a tool do, until the test ends; call it to forget one that came."""
    # Tests that run in the background may have been started with some of them ignored.
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in stopping.SIGNALS}
    stopping.install()
    yield stopping.install
    stopping.install()
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope="module")
def flags_of_a_tool():
    """Defines the flags of all settings, as a tool does, for the tests of a file."""
    cli.define(settings.FIELDS)
    yield
    for name in settings.FIELDS:
        delattr(flags.FLAGS, name)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
