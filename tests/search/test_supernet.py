"""Supernets: which variables they have, and what belongs to whom."""

import keras
import pytest
import tiny

from okd_tf.search import cells, supernet

KINDS = {"mixed": cells.MixedCell, "gumbel": cells.GumbelCell, "path": cells.PathCell}
CONTROLS = {"mixed": {"sharpness"}, "gumbel": {"noise", "temperature", "alive"}, "path": {"choice"}}


@pytest.fixture(scope="module")
def of():
    return tiny.make_space(tiny.make_backbone())


@pytest.fixture(scope="module")
def nets(of):
    """A supernet of each kind of cell."""
    keras.utils.set_random_seed(0)
    backbone = tiny.make_backbone()
    return {name: supernet.make(backbone, of, cell) for name, cell in KINDS.items()}


def _ids(variables):
    return {id(variable) for variable in variables}


@pytest.mark.parametrize("kind", KINDS)
def test_variables_are_alphas_or_shared_or_told_to_the_cells(nets, kind):
    net = nets[kind]
    alphas, weights, shared = _ids(net.alphas()), _ids(net.weights()), _ids(net.shared())
    assert len(alphas) == (0 if kind == "path" else 3 * len(net.cells))
    assert alphas | weights == _ids(net.network.trainable_variables)
    assert not alphas & weights
    told = [variable for cell in net.cells for variable in cell.variables if variable.name in CONTROLS[kind]]
    assert len(told) == len(CONTROLS[kind]) * len(net.cells)
    assert shared | alphas | _ids(told) == _ids(net.network.variables)
    assert not shared & (alphas | _ids(told))


def test_supernets_of_one_space_share_the_same_variables_in_one_order(nets):
    names = [
        [(variable.path.split("/")[-2:], tuple(variable.shape)) for variable in net.shared()]
        for net in nets.values()
    ]
    assert names[0] == names[1] == names[2]


@pytest.mark.parametrize("kind", KINDS)
def test_batch_norms_are_all_there_are(nets, kind):
    # Two of the backbone, one of each convolution in each of two cells.
    assert len(nets[kind].batch_norms()) == 2 + 2 * 2
    moving = [variable for variable in nets[kind].shared() if "moving" in variable.name]
    assert len(moving) == 2 * len(nets[kind].batch_norms())


def _running(net, ops):
    """What `running` says, by (layer, operation); None is the backbone."""
    found = {}
    of_candidate = {
        id(weight): (layer, op)
        for layer, cell in enumerate(net.cells)
        for op, candidate in zip(ops, cell.candidates, strict=True)
        for weight in candidate.trainable_variables
    }
    for weight, factor in zip(net.weights(), net.running(), strict=True):
        found.setdefault(of_candidate.get(id(weight)), set()).add(float(factor))
    return found


def test_of_a_mixture_everything_runs(nets, of):
    assert set().union(*_running(nets["mixed"], of.ops).values()) == {1}


def _expected(of, *running):
    """1 for the backbone and these, of what has weights."""
    with_weights = [name for name in of.ops if "conv" in name]
    expected = {(layer, name): {0.0} for layer in range(of.layers) for name in with_weights}
    return expected | {None: {1.0}} | {key: {1.0} for key in running}


def test_of_a_path_the_chosen_living_operations_run(nets, of):
    conv, separable = of.ops.index("conv_3x3"), of.ops.index("sep_conv_3x3")
    for architecture, running in (
        # The first layer lives by being read alone.
        (((conv, 0, 0), (separable, 1, 1)), [(0, "conv_3x3"), (1, "sep_conv_3x3")]),
        (((conv, 0, 0), (separable, 0, 1)), [(1, "sep_conv_3x3")]),
        (((conv, 0, 0), (separable, 1, 0)), []),
        (((0, 0, 1), (conv, 0, 1)), [(1, "conv_3x3")]),
    ):
        for cell, row in zip(nets["path"].cells, supernet.choices(of, architecture), strict=True):
            cell.choose(row)
        assert _running(nets["path"], of.ops) == _expected(of, *running)


def test_of_a_sample_the_sampled_living_operation_runs(nets, of):
    conv, separable = of.ops.index("conv_3x3"), of.ops.index("sep_conv_3x3")
    for cell, op, alive in zip(nets["gumbel"].cells, (conv, separable), (1, 0), strict=True):
        cell.alphas[0].assign([1e4 if index == op else 0.0 for index in range(len(of.ops))])
        cell.alive.assign(alive)
    assert _running(nets["gumbel"], of.ops) == _expected(of, (0, "conv_3x3"))
    nets["gumbel"].cells[1].alive.assign(1)
    assert _running(nets["gumbel"], of.ops) == _expected(of, (0, "conv_3x3"), (1, "sep_conv_3x3"))


def test_choices_are_canonical_and_say_who_lives(of):
    assert supernet.choices(of, ((1, 1, 0), (2, 1, 1))) == [[1, 0, 0, 1], [2, 1, 1, 1]]
    assert supernet.choices(of, ((1, 0, 0), (2, 1, 0))) == [[0, 0, 0, 0], [0, 0, 0, 0]]
