"""What is measured: steps that run, and their arithmetic."""

import pytest

from okd_tf import search
from okd_tf.arch import cost, space
from okd_tf.benchmark import cases

SETUP = cases.Setup("resnet8", 8, batch_size=4, image_size=8, classes=3, ops=("identity", "conv_3x3"))


@pytest.fixture(scope="module")
def arithmetic():
    """FLOPs of one image: (bare backbone, all operations of all layers)."""
    backbone = SETUP.make_backbone()
    of = space.SearchSpace.around(backbone, SETUP.ops)
    every = sum(op.flops for costs in of.op_costs for op in costs)
    return cost.of_model(backbone.model).flops, every


def test_every_strategy_is_a_case():
    assert {f"search_{name}" for name in search.STRATEGIES} < set(cases.CASES)


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_runs_step_after_step(name):
    case = cases.CASES[name](SETUP)
    case.step()
    case.step()
    assert case.flops > 0


def test_a_plain_step_is_three_forward_passes(arithmetic):
    assert cases.ce(SETUP).flops == 3 * arithmetic[0]


def test_a_mixed_step_runs_all_operations_twice_for_alphas_and_thrice_for_weights(arithmetic):
    assert cases.search_step(SETUP, "darts").flops == 5 * sum(arithmetic)


def test_a_path_costs_between_the_backbone_and_the_dearest_path(arithmetic):
    base, every = arithmetic  # identity costs nothing: the dearest path runs every convolution
    for name in ("random", "reinforce"):
        assert 3 * base < cases.search_step(SETUP, name).flops < 3 * (base + every)
    # Of the alpha step, half of the layers run the convolution on average, dead or not.
    found = cases.search_step(SETUP, "gumbel").flops - 2 * (base + every / 2)
    assert 3 * base < found < 3 * (base + every)
