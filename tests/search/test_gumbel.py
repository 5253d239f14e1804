"""The search by samples: what is sampled, at which temperature, and what runs for it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tiny

DATA = tiny.make_splits()
DRAWS = 4000
CONV, SEPARABLE = tiny.OPS.index("conv_3x3"), tiny.OPS.index("sep_conv_3x3")


def _search(**changes):
    return tiny.scatter_alphas(tiny.make_search("gumbel", **changes), scale=1.0)


@pytest.fixture
def model():
    return _search()


@pytest.fixture(scope="module")
def drawn():
    """(model, samples of so many steps: float [draws, layers, (op, chain, feed back)])."""
    model = _search()

    @tf.function
    def draw(first):
        samples = tf.TensorArray(tf.float32, DRAWS)
        for number in tf.range(DRAWS):
            noise = model._noise(first + number)
            rows = []
            for index, cell in enumerate(model.supernet.cells):
                cell.noise.assign(noise[index])
                op, chain, feed_back = cell.sample()
                rows.append(tf.stack([tf.cast(op, tf.float32), chain, feed_back]))
            samples = samples.write(number, tf.stack(rows))
        return samples.stack()

    return model, draw(tf.constant(0)).numpy()


def _assert_frequency(hits, probability):
    """Four standard deviations of a binomial."""
    deviation = (probability * (1 - probability) / len(hits)) ** 0.5
    assert abs(np.mean(hits) - probability) < 4 * deviation + 1e-9


def test_operations_and_gates_are_sampled_with_the_probabilities_of_their_alphas(drawn):
    model, samples = drawn
    for layer, cell in enumerate(model.supernet.cells):
        alpha = cell.alphas[0].numpy()
        softmax = np.exp(alpha) / np.exp(alpha).sum()
        assert np.ptp(softmax) > 0.1
        for op, probability in enumerate(softmax):
            _assert_frequency(samples[:, layer, 0] == op, probability)
        sigmoids = [1 / (1 + np.exp(-float(alpha.numpy()))) for alpha in cell.alphas[1:]]
        _assert_frequency(samples[:, layer, 1] == 1, sigmoids[0] if cell.chainable else 0)
        _assert_frequency(samples[:, layer, 2] == 1, sigmoids[1])


def test_samples_of_layers_gates_and_steps_are_independent(drawn):
    _, samples = drawn
    columns = [samples[:, layer, part] for layer in (0, 1) for part in (0, 1, 2) if (layer, part) != (0, 1)]
    # Of the same step, and of a step and the next.
    columns = [column[:-1] for column in columns] + [column[1:] for column in columns]
    for one, other in itertools.combinations(columns, 2):
        # A correlation of independent draws has a deviation of 1 / sqrt(draws).
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / DRAWS**0.5


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 5.0), (2, 5.0), (5, 5 - 4.5 / 2), (6, 5 - 4.5 * 2 / 3), (8, 0.5), (9, 0.5)]
)
def test_the_temperature_falls_linearly_from_the_end_of_the_warm_up_on(step, expected):
    model = _search(steps=8, warmup_steps=2, temperatures=(5.0, 0.5))
    model.weight_optimizer.iterations.assign(step)
    model.sample(phase=0, dead_run=True)
    for cell in model.supernet.cells:
        assert float(cell.temperature) == pytest.approx(expected)
    assert model.scalars()["gumbel/temperature"] == pytest.approx(expected)


def _noise(model, step, phase):
    model.weight_optimizer.iterations.assign(step)
    model.sample(phase, dead_run=False)
    return np.stack([cell.noise.numpy() for cell in model.supernet.cells]).tobytes()


def test_a_path_depends_on_seed_step_and_phase_alone(model):
    phases = list(itertools.product(range(10), (0, 1)))
    drawn = [_noise(model, *phase) for phase in phases]
    assert len(set(drawn)) == len(drawn)
    assert [_noise(_search(), *phase) for phase in phases[7:9]] == drawn[7:9]
    other = _search(seed=4)
    assert not {_noise(other, *phase) for phase in phases} & set(drawn)


def _set(model, *layers):
    """Alphas that leave no doubt, as (operation, chain, feed back)."""
    for cell, (op, *gates) in zip(model.supernet.cells, layers, strict=True):
        cell.alphas[0].assign([100.0 if index == op else 0.0 for index in range(len(tiny.OPS))])
        for alpha, gate in zip(cell.alphas[1:], gates, strict=True):
            alpha.assign(30.0 if gate else -30.0)


def _candidates_moved(model, before):
    """{(layer, operation)} of which some variable, moving statistics included, is not as before."""
    held = {id(variable): old for variable, old in zip(model.network.variables, before, strict=True)}
    return {
        (layer, name)
        for layer, cell in enumerate(model.supernet.cells)
        for name, candidate in zip(tiny.OPS, cell.candidates, strict=True)
        if any(np.any(variable.numpy() != held[id(variable)]) for variable in candidate.variables)
    }


@pytest.mark.parametrize(
    ("layers", "running"),
    [
        ([(CONV, 0, 1), (SEPARABLE, 0, 1)], {(0, "conv_3x3"), (1, "sep_conv_3x3")}),
        # Alive by being read alone.
        ([(CONV, 0, 0), (SEPARABLE, 1, 1)], {(0, "conv_3x3"), (1, "sep_conv_3x3")}),
        ([(CONV, 0, 0), (SEPARABLE, 0, 1)], {(1, "sep_conv_3x3")}),
        # Read, but by a dead one.
        ([(CONV, 0, 0), (SEPARABLE, 1, 0)], set()),
    ],
)
def test_a_weight_step_runs_the_sampled_living_operations_alone(model, layers, running):
    _set(model, *layers)
    model.sample(phase=1, dead_run=False)
    assert [int(cell.alive) for cell in model.supernet.cells] == [
        int(any(layer == index for layer, _ in running)) for index in (0, 1)
    ]
    before = tiny.values(model.network.variables)
    model.weight_step(tiny.make_batch(DATA.train))
    assert _candidates_moved(model, before) == running


def test_an_alpha_step_runs_dead_layers_too_so_that_they_can_learn_to_live(model):
    _set(model, (CONV, 0, 0), (SEPARABLE, 0, 0))
    model.sample(phase=0, dead_run=True)
    before = tiny.values(model.network.variables)
    gates = [cell.alphas[2] for cell in model.supernet.cells]
    gates_before = tiny.values(gates)
    model.alpha_step(tiny.make_batch(DATA.val))
    # Its batch norms have seen the batch; that the alphas have moved says that they have a gradient.
    assert _candidates_moved(model, before) == {(0, "conv_3x3"), (1, "sep_conv_3x3")}
    assert all(tiny.moved(gates_before, gates))


def test_a_train_step_samples_anew_for_each_of_its_halves(model, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "sample", lambda phase, dead_run: asked.append((phase, dead_run)))
    monkeypatch.setattr(model, "alpha_step", lambda batch: asked.append(("alphas", batch)))
    monkeypatch.setattr(model, "weight_step", lambda batch: asked.append(("weights", batch)))
    model.train_step(("training", "validation"))
    assert asked == [(0, True), ("alphas", "validation"), (1, False), ("weights", "training")]


def test_the_alpha_gradient_is_the_slope_along_each_coefficient(model, monkeypatch):
    """By the chain rule from the slopes of the loss in the coefficient and gates of a path that is held."""
    batch, temperature = tiny.make_batch(DATA.val), 2.0
    model.sample(phase=0, dead_run=True)
    cell = model.supernet.cells[1]
    cell.temperature.assign(temperature)
    # A sample of which every part counts: the convolution, both gates open.
    cell.noise.assign([0.1, 4.0, -0.2, 0.3, 2.5, 3.0])
    applied = []
    monkeypatch.setattr(model.alphas, "apply", applied.append)
    model.alpha_step(batch)
    names = [id(alpha) for alpha in model.alphas.variables]
    found = [applied[0][names.index(id(alpha))].numpy() for alpha in cell.alphas]
    op, chain, feed_back = (float(part) for part in cell.sample())
    assert (op, chain, feed_back) == (CONV, 1, 1)

    def loss(coefficient=1.0, chain=chain, feed_back=feed_back):
        with pytest.MonkeyPatch.context() as patch:
            one = tf.fill([len(tiny.OPS)], tf.constant(coefficient, tf.float32))
            sample = tf.constant(int(op)), tf.constant(chain), tf.constant(feed_back)
            patch.setattr(type(cell), "sample", _replaced(type(cell).sample, cell, sample))
            patch.setattr(type(cell), "coefficients", _replaced(type(cell).coefficients, cell, one))
            logits = model.network(batch["image"], training=True)
        return float(model.objective(batch, logits, None))

    def slope(name, at, step=1e-2):
        return (loss(**{name: at + step}) - loss(**{name: at - step})) / (2 * step)

    noise = cell.noise.numpy()
    logits = (np.log(cell.probabilities()[0]) + noise[:-2]) / temperature
    soft = np.exp(logits) / np.exp(logits).sum()
    expected = slope("coefficient", 1.0) * soft[int(op)] * (np.eye(len(soft))[int(op)] - soft) / temperature
    np.testing.assert_allclose(found[0], expected, rtol=0.05, atol=1e-3)
    for place, name, gate in ((1, "chain", chain), (2, "feed_back", feed_back)):
        sigmoid = 1 / (1 + np.exp(-(cell.alphas[place].numpy() + noise[place - 3]) / temperature))
        expected = slope(name, gate) * sigmoid * (1 - sigmoid) / temperature
        assert float(found[place]) == pytest.approx(expected, rel=0.05, abs=1e-3)
    assert np.max(np.abs(found[0])) > 1e-3


def _replaced(method, only, result):
    """A method that gives another result for one object."""
    return lambda self: result if self is only else method(self)
