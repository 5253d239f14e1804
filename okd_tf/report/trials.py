"""Means over trials, their standard errors, and paired differences: what a table of trials is made of.

The standard error of a mean is s / sqrt(n), with s the standard deviation with n - 1 in the denominator. A
difference is paired: of the same trial of both, so that what a trial has in common with all others cancels.
"""

import numpy as np

CLEAR = 2  # standard errors, beyond which a difference is called one


def mean_and_error(values):
    """Return (mean, standard error of the mean) of a list of numbers; the error is None of fewer than two."""
    if len(values) < 2:
        return float(np.mean(values)), None
    return float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5


def paired(values, reference):
    """Return the differences of two dicts of numbers by trial, for the trials that both have, in order."""
    return [values[trial] - reference[trial] for trial in sorted(set(values) & set(reference))]


def verdict(mean, error):
    """Return in words whether a mean difference is one: beyond two of its standard errors."""
    if abs(mean) <= CLEAR * error:
        return "no clear difference"
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
