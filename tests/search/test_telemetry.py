"""What is recorded of a search, and the warning of a collapse."""

import types

import numpy as np
import pytest
import tiny

from okd_tf import errors
from okd_tf.arch import spec
from okd_tf.search import expectation, telemetry


def _towards(free):
    """Distributions of which this share of the living layers has no parameters."""
    operations = np.array([free / 2, (1 - free) / 2, (1 - free) / 2, free / 2])
    return [(operations, np.float64(0.0), np.float64(1.0))] * 3


CHOSEN = ((1, 0, 1), (0, 0, 1), (0, 0, 0))


class _Ranker:
    def evaluate(self, architecture, examples):
        assert (architecture, examples) == (CHOSEN, telemetry.EXAMPLES)
        return {"accuracy": 0.625, "loss": 1.5}


def _telemetry(distributions, learns=True, stop=False, of=None, max_params=0):
    """Of a search that would choose this; `distributions` may be changed after."""
    of = of or tiny.priced_space()
    model = types.SimpleNamespace(
        learns=learns,
        budget=spec.Budget(max_params),
        options=types.SimpleNamespace(seed=3),
        expectation=lambda: expectation.of_distributions(of, distributions),
        propose=lambda count, seed: [CHOSEN][:count],
    )
    return telemetry.Telemetry(model, of, _Ranker(), stop)


def _look_and_warn(watched):
    watched.look()
    watched.warn_of_collapse()


def test_a_record_names_every_probability_and_what_would_be_chosen_now():
    of, distributions = tiny.priced_space(), _towards(0.3)
    record = _telemetry(distributions).look()
    expected = expectation.of_distributions(of, distributions)
    assert record.pop("expected_params") == expected.params
    assert record.pop("expected/flops") == expected.flops
    assert record.pop("expected/layers") == expected.layers
    assert record.pop("entropy") == pytest.approx(sum(expected.entropies) / 3)
    assert record.pop("parameter_free") == expected.parameter_free
    assert record.pop("argmax/params") == 1000 + 90
    assert (record.pop("argmax_val_accuracy"), record.pop("argmax/val_loss")) == (0.625, 1.5)
    for name, share in zip(tiny.OPS, expected.shares, strict=True):
        assert record.pop(f"share/{name}") == share
    for index, (operations, chain, feed_back) in enumerate(distributions):
        for name, probability in zip(tiny.OPS, operations, strict=True):
            assert record.pop(f"addon{index + 1}/{name}") == probability
        assert record.pop(f"addon{index + 1}/chain") == chain
        assert record.pop(f"addon{index + 1}/feed_back") == feed_back
        assert record.pop(f"addon{index + 1}/entropy") == expected.entropies[index]
    assert record == {}


def test_what_does_not_learn_has_no_choice_of_the_moment():
    record = _telemetry(_towards(0.3), learns=False).look()
    assert not [name for name in record if name.startswith("argmax")]


def test_a_collapse_is_warned_of_once(capsys):
    watched = _telemetry(_towards(0.95))
    for _ in range(3):
        watched.look()
        watched.warn_of_collapse()
    said = capsys.readouterr().out
    assert said.count("warning: 95% of the add-on layers") == 1
    assert "--strategy" in said


@pytest.mark.parametrize("stop", [False, True])
def test_short_of_a_collapse_nothing_is_said(capsys, stop):
    _look_and_warn(_telemetry(_towards(0.85), stop=stop))
    assert capsys.readouterr().out == ""


def test_a_collapse_that_comes_later_is_seen(capsys):
    distributions = _towards(0.5)
    watched = _telemetry(distributions)
    _look_and_warn(watched)
    assert capsys.readouterr().out == ""
    distributions[:] = _towards(0.95)
    _look_and_warn(watched)
    assert "95%" in capsys.readouterr().out


@pytest.mark.parametrize("free", [0.9000001, 1.0])
def test_a_collapse_stops_the_search_when_asked(free):
    with pytest.raises(errors.UserError, match=r"^--stop_on_collapse: .*has collapsed; "):
        _look_and_warn(_telemetry(_towards(free), stop=True))


def test_what_does_not_learn_and_what_has_no_choice_do_not_collapse(capsys):
    _look_and_warn(_telemetry(_towards(1.0), learns=False, stop=True))
    _look_and_warn(_telemetry(_towards(1.0), stop=True, of=tiny.priced_space((0, 0, 0, 0))))
    # 29 parameters more than the bare backbone: the smallest operation that has any takes 30.
    _look_and_warn(_telemetry(_towards(1.0), stop=True, max_params=1029))
    assert capsys.readouterr().out == ""


def test_alphas_that_are_not_numbers_are_no_collapse(capsys):
    distributions = [(np.full(4, np.nan), np.float64("nan"), np.float64("nan"))] * 3
    _look_and_warn(_telemetry(distributions, stop=True))
    assert capsys.readouterr().out == ""
