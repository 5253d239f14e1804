"""Statistics over trials: means, standard errors and paired differences.

The standard error of a mean is s / sqrt(n), with s the standard deviation with n - 1 in the denominator. A
difference is paired: both figures are of the same trial, so that effects common to a trial cancel. It is
called better or worse if Student's t-test finds it significant, which accounts for the uncertain spread of
few trials: each of the two words is wrong at most once in twenty. The bound is 6.3 standard errors with two
trials, 2.9 with three, 2.1 with five, 1.8 with ten.
"""

import numpy as np
from scipy import stats

SURE = 0.95  # how often neither of "better" and "worse" is said of what is not
NO_VERDICT = "one trial: no verdict"


def mean_and_error(values):
    """Return (mean, standard error of the mean) of numbers; the error is None for fewer than two."""
    if len(values) < 2:
        return float(np.mean(values)), None
    return float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5


def paired(values, reference):
    """Return the differences of two dicts of numbers by trial, for the trials that both have, in order."""
    return [values[trial] - reference[trial] for trial in sorted(set(values) & set(reference))]


def difference(gains, digits=2, unit="", lower_is_better=False, error_of_one=None):
    """Return paired differences in words, as "+1.30 ± 0.40 points over 3 trials: better".

    Args:
        gains: the difference of each trial; at least one.
        digits: digits after the point.
        unit: of the differences, in words; "" if the column's head names it.
        lower_is_better: whether a lower figure is better, as for a loss.
        error_of_one: the standard error of a single difference, if known from elsewhere.
    """
    mean, error = mean_and_error(gains)
    unit = f" {unit}" if unit else ""
    if error is None:
        error_of_one = "" if error_of_one is None else f" ± {error_of_one:.{digits}f}"
        return f"{mean:+.{digits}f}{error_of_one}{unit}, {NO_VERDICT}"
    word = verdict(-mean if lower_is_better else mean, error, len(gains))
    return f"{mean:+.{digits}f} ± {error:.{digits}f}{unit} over {len(gains)} trials: {word}"


def verdict(mean, error, trials):
    """Return in words whether a mean difference is significant by the t-test, given its standard error.

    Args:
        mean: mean of the paired differences, positive for an improvement.
        error: its standard error.
        trials: number of differences, at least two.
    """
    if abs(mean) <= stats.t.ppf(SURE, trials - 1) * error:
        return "no difference"
    return "better" if mean > 0 else "worse"


def lines(rows):
    """Return the rows of a table, tuples of texts, as lines of equal width: the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
