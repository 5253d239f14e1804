"""A search that is killed, whatever its strategy, ends in the same bits."""

import kills
import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "darts",
        "reinforce",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("gumbel", "random", "finals_search", "budgets_search")
        ),
    ],
)
def test_a_killed_search_ends_in_the_same_bits(stages, name):
    kills.play(stages, name)
