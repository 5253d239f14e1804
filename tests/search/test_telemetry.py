"""What is recorded of a search: averages by enumeration, entropies by hand, and the warning of a collapse."""

import itertools
import types

import numpy as np
import pytest

from okd_tf import errors
from okd_tf.arch import space, spec
from okd_tf.search import telemetry

OPS = ("identity", "conv_3x3", "sep_conv_3x3", "max_pool_3x3")
PARAMS = (0, 90, 30, 0)


def _space(params=PARAMS):
    return space.SearchSpace(
        attach_points=("a", "b", "c"),
        ops=OPS,
        chainable=(False, True, True),
        base=spec.Cost(1000, 5000),
        op_costs=tuple(
            tuple(spec.Cost(own * (layer + 1), 7 * own + 3 * op + layer) for op, own in enumerate(params))
            for layer in range(3)
        ),
    )


def _distributions(seed=0):
    generator = np.random.default_rng(seed)
    operations = generator.random((3, len(OPS)))
    gates = generator.random((3, 2))
    gates[0, 0] = 0.0
    return [
        (one / one.sum(), np.float64(chain), np.float64(feed_back))
        for one, (chain, feed_back) in zip(operations, gates, strict=True)
    ]


def _enumerated(of, distributions):
    """(layers, params, flops, living layers of each operation) on average over every draw."""
    mean = np.zeros(3 + len(OPS))
    every_choice = list(itertools.product(range(len(OPS)), (0, 1), (0, 1)))
    for architecture in itertools.product(every_choice, repeat=of.layers):
        probability = 1.0
        for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(architecture, distributions, strict=True):
            probability *= p_op[op] * (p_chain if chain else 1 - p_chain)
            probability *= p_feed if feed_back else 1 - p_feed
        if not probability:
            continue
        living = [
            choice[0] for choice, alive in zip(architecture, of.alive(architecture), strict=True) if alive
        ]
        cost = of.cost(architecture)
        by_op = [living.count(op) for op in range(len(OPS))]
        mean += probability * np.array([len(living), cost.params, cost.flops, *by_op])
    return mean[0], mean[1], mean[2], mean[3:]


def test_expectations_are_the_means_over_all_draws():
    of, distributions = _space(), _distributions()
    layers, params, flops, by_op = _enumerated(of, distributions)
    found = telemetry.expect(of, distributions)
    assert found.layers == pytest.approx(layers, rel=1e-5)
    assert found.params == pytest.approx(params, rel=1e-5)
    assert found.flops == pytest.approx(flops, rel=1e-5)
    np.testing.assert_allclose(found.shares, by_op / layers, rtol=1e-5)
    assert found.parameter_free == pytest.approx((by_op[0] + by_op[3]) / layers, rel=1e-5)


def test_entropies_are_those_of_operation_and_gates():
    uniform = (np.full(4, 0.25), np.float64(0.5), np.float64(0.5))
    certain = (np.array([0.0, 1.0, 0.0, 0.0]), np.float64(1.0), np.float64(0.0))
    by_hand = (np.array([0.5, 0.25, 0.25, 0.0]), np.float64(0.0), np.float64(0.2))
    found = telemetry.expect(_space(), [uniform, certain, by_hand]).entropies
    expected = [np.log(4) + 2 * np.log(2), 0.0, 1.5 * np.log(2) - 0.2 * np.log(0.2) - 0.8 * np.log(0.8)]
    assert found == pytest.approx(expected)


def test_of_layers_that_never_live_there_are_no_shares():
    dead = (np.full(4, 0.25), np.float64(0.0), np.float64(0.0))
    found = telemetry.expect(_space(), [dead] * 3)
    assert (found.layers, found.params, found.flops, found.parameter_free) == (0, 1000, 5000, 0)
    assert not np.any(found.shares)


def _towards(free):
    """Distributions of which this share of the living layers has no parameters."""
    operations = np.array([free / 2, (1 - free) / 2, (1 - free) / 2, free / 2])
    return [(operations, np.float64(0.0), np.float64(1.0))] * 3


CHOSEN = ((1, 0, 1), (0, 0, 1), (0, 0, 0))


class _Ranker:
    def evaluate(self, architecture):
        assert architecture == CHOSEN
        return {"accuracy": 0.625, "loss": 1.5}


def _telemetry(distributions, learns=True, stop=False, of=None):
    """Of a search that would choose this; `distributions` may be changed after."""
    model = types.SimpleNamespace(
        learns=learns,
        options=types.SimpleNamespace(seed=3),
        distributions=lambda: distributions,
        propose=lambda count, seed: [CHOSEN][:count],
    )
    return telemetry.Telemetry(model, of or _space(), _Ranker(), stop)


def test_a_record_names_every_probability_and_what_would_be_chosen_now():
    of, distributions = _space(), _distributions()
    record = _telemetry(distributions).look()
    expected = telemetry.expect(of, distributions)
    assert record.pop("expected_params") == expected.params
    assert record.pop("expected/flops") == expected.flops
    assert record.pop("expected/layers") == expected.layers
    assert record.pop("entropy") == pytest.approx(sum(expected.entropies) / 3)
    assert record.pop("parameter_free") == expected.parameter_free
    assert record.pop("argmax/params") == 1000 + 90
    assert (record.pop("argmax_val_accuracy"), record.pop("argmax/val_loss")) == (0.625, 1.5)
    for name, share in zip(OPS, expected.shares, strict=True):
        assert record.pop(f"share/{name}") == share
    for index, (operations, chain, feed_back) in enumerate(distributions):
        for name, probability in zip(OPS, operations, strict=True):
            assert record.pop(f"addon{index + 1}/{name}") == probability
        assert record.pop(f"addon{index + 1}/chain") == chain
        assert record.pop(f"addon{index + 1}/feed_back") == feed_back
        assert record.pop(f"addon{index + 1}/entropy") == expected.entropies[index]
    assert record == {}


def test_what_does_not_learn_has_no_choice_of_the_moment():
    record = _telemetry(_distributions(), learns=False).look()
    assert not [name for name in record if name.startswith("argmax")]


def test_a_collapse_is_warned_of_once(capsys):
    watched = _telemetry(_towards(0.95))
    for _ in range(3):
        watched.look()
    said = capsys.readouterr().out
    assert said.count("warning: 95% of the add-on layers") == 1
    assert "--strategy" in said


@pytest.mark.parametrize("stop", [False, True])
def test_short_of_a_collapse_nothing_is_said(capsys, stop):
    _telemetry(_towards(0.85), stop=stop).look()
    assert capsys.readouterr().out == ""


def test_a_collapse_that_comes_later_is_seen(capsys):
    distributions = _towards(0.5)
    watched = _telemetry(distributions)
    watched.look()
    assert capsys.readouterr().out == ""
    distributions[:] = _towards(0.95)
    watched.look()
    assert "95%" in capsys.readouterr().out


@pytest.mark.parametrize("free", [0.9000001, 1.0])
def test_a_collapse_stops_the_search_when_asked(free):
    with pytest.raises(errors.UserError, match=r"^--stop_on_collapse: .*has collapsed; "):
        _telemetry(_towards(free), stop=True).look()


def test_what_does_not_learn_and_what_has_no_choice_do_not_collapse(capsys):
    _telemetry(_towards(1.0), learns=False, stop=True).look()
    _telemetry(_towards(1.0), stop=True, of=_space((0, 0, 0, 0))).look()
    assert capsys.readouterr().out == ""


def test_alphas_that_are_not_numbers_are_no_collapse(capsys):
    distributions = [(np.full(4, np.nan), np.float64("nan"), np.float64("nan"))] * 3
    _telemetry(distributions, stop=True).look()
    assert capsys.readouterr().out == ""
