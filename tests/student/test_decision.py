"""Which loss is taken, by predictions made by hand."""

import numpy as np
import pytest

from okd_tf.student import decision


def _logits(labels, right, margin=1.0, classes=4):
    """A network that is right where it should be: its class leads all others by a margin."""
    predicted = np.where(right, labels, (labels + 1) % classes)
    return margin * np.eye(classes)[predicted]


def _first(count, total):
    return np.arange(total) < count


def test_a_difference_is_a_mean_with_its_paired_standard_error():
    # Of 100 images 9 were won and 1 was lost: mean 0.08, variance (10 - 100 * 0.08^2) / 99.
    differences = np.concatenate([np.ones(9), [-1.0], np.zeros(90)])
    found = decision.Difference.of(differences)
    assert found.mean == pytest.approx(0.08)
    assert found.error == pytest.approx(np.sqrt((10 - 100 * 0.08**2) / 99 / 100))
    assert found.exceeds(2.0)
    assert not found.falls_below(0.0)


def test_of_one_image_no_difference_is_more_than_noise():
    for one in (-1.0, 0.0, 1.0):
        found = decision.Difference.of(np.array([one]))
        assert not found.exceeds(1.0)
        assert not found.falls_below(1.0)


@pytest.mark.parametrize("count", [50, 5000])
def test_a_loss_that_is_clearly_more_accurate_than_labels_is_taken(count):
    labels = np.arange(count) % 4
    shares = {"ce": 0.5, "mean": 0.7, "dkd": 0.4}
    found = decision.decide({k: _logits(labels, _first(v * count, count)) for k, v in shares.items()}, labels)
    assert found.taken == "mean"
    assert {name: each.accuracy for name, each in found.figures.items()} == pytest.approx(shares)
    assert found.figures["mean"].accuracy_gain.mean == pytest.approx(0.2)
    assert "mean is better than labels by +20.0 ± " in found.why


@pytest.mark.parametrize("count", [1, 2, 50, 5000])
def test_labels_stay_where_nothing_is_better(count):
    labels = np.arange(count) % 4
    right = _first(0.6 * count, count)
    same = _logits(labels, right)
    worse = _logits(labels, right & ~_first(0.3 * count, count))
    for others in ({"mean": same}, {"mean": worse}, {"mean": same, "oracle": worse}, {}):
        found = decision.decide({"ce": same, **others}, labels)
        assert found.taken == "ce"
        assert found.figures["ce"].accuracy_gain == decision.Difference(0.0, 0.0)


def test_few_images_that_were_won_by_luck_decide_nothing():
    """One image of 50 more is one standard error, and no more."""
    labels = np.arange(50) % 4
    logits = {"ce": _logits(labels, _first(30, 50)), "mean": _logits(labels, _first(31, 50))}
    gain = decision.decide(logits, labels).figures["mean"].accuracy_gain
    assert gain.mean == pytest.approx(gain.error) == pytest.approx(0.02)
    assert decision.decide(logits, labels).taken == "ce"


def _surer(count, better):
    """Two networks right on the same 60 %, of which the better one's margins say which these are."""
    labels = np.arange(count) % 4
    right = _first(0.6 * count, count)
    plain = _logits(labels, right)
    telling = np.where(right[:, np.newaxis], 3.0, 0.3) * plain
    return labels, {"ce": plain, better: telling}


@pytest.mark.parametrize("count", [50, 5000])
def test_of_equal_accuracies_a_clearly_lower_log_loss_decides(count):
    labels, logits = _surer(count, "mean")
    found = decision.decide(logits, labels)
    assert found.figures["mean"].accuracy_gain.mean == 0.0
    assert found.taken == "mean"
    assert "mean is as accurate as labels (+0.0 ± 0.0 points), and its log-loss is lower by " in found.why


def test_a_lower_log_loss_takes_no_loss_that_is_less_accurate_by_more_than_half_a_standard_error():
    labels, logits = _surer(200, "mean")
    lost = _first(7, 200) & (np.arange(200) % 7 == 0)  # one image
    logits["mean"] = np.where(lost[:, np.newaxis], -logits["mean"], logits["mean"])
    found = decision.decide(logits, labels)
    assert found.figures["mean"].log_loss_gain.exceeds(2.0)
    assert found.figures["mean"].accuracy_gain.mean == pytest.approx(-1 / 200)
    assert found.taken == "ce"


def test_how_sure_a_network_is_by_itself_decides_nothing():
    labels = np.arange(80) % 4
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(80, 4)) + 2 * np.eye(4)[labels]
    found = decision.decide({"ce": 30 * logits, "mean": logits, "dkd": logits / 9}, labels)
    assert found.taken == "ce"
    for each in found.figures.values():
        assert each.log_loss == pytest.approx(found.figures["mean"].log_loss, rel=1e-6)
    temperatures = [found.figures[name].temperature for name in ("ce", "mean", "dkd")]
    np.testing.assert_allclose(np.array(temperatures) / temperatures[1], [30, 1, 1 / 9], rtol=1e-5)


def test_the_best_temperature_is_that_of_a_fine_grid():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 5, 60)
    logits = (3 * generator.normal(size=(60, 5)) + 2 * np.eye(5)[labels]).astype(np.float32)
    found = decision.decide({"ce": logits}, labels).figures["ce"]

    def log_loss(temperature):
        scaled = logits.astype(np.float64) / temperature
        return np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(60), labels])

    grid = np.linspace(0.5, 20, 4000)
    best = min(grid, key=log_loss)
    assert found.temperature == pytest.approx(best, abs=0.01)
    assert found.log_loss == pytest.approx(log_loss(best), abs=1e-5)


def test_a_loss_that_is_worse_in_log_loss_by_a_standard_error_is_never_taken():
    labels, logits = _surer(200, "other")
    # More accurate by 4 images than labels, which say what they do not know, as this one does not.
    mean = _logits(labels, _first(124, 200))
    found = decision.decide({"ce": logits["other"], "mean": mean}, labels)
    assert found.figures["mean"].is_more_accurate
    assert found.figures["mean"].log_loss_gain.falls_below(1.0)
    assert found.taken == "ce"


def test_of_losses_that_are_equally_accurate_within_noise_the_lowest_log_loss_is_taken():
    labels = np.arange(200) % 4
    right = {"ce": _first(100, 200), "mean": _first(140, 200), "dkd": _first(141, 200)}
    logits = {name: _logits(labels, each) for name, each in right.items()}
    assert decision.decide(logits, labels).taken == "dkd"
    logits["mean"] *= np.where(right["mean"][:, np.newaxis], 3.0, 0.3)
    found = decision.decide(logits, labels)
    assert found.taken == "mean"
    assert found.why.endswith(
        "; dkd is no more accurate than that by more than a standard error, and has a higher log-loss"
    )


def test_noise_seldom_takes_a_loss_that_is_worse(rng):
    """Of networks that differ by chance alone, 2 points below labels, hardly any is taken."""
    taken = 0
    for _ in range(200):
        labels = rng.integers(0, 4, 300)
        ce, mean = (_logits(labels, rng.random(300) < share) for share in (0.62, 0.57))
        taken += decision.decide({"ce": ce, "mean": mean}, labels).taken == "mean"
    assert taken <= 12
