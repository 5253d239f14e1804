"""A worker of several: trains the kinds named as arguments with the others; see mirrored_script.py for kinds.

The lead then trains each alone, on one device, and prints by how much that differs.
"""

import functools
import json
import pathlib
import sys
import tempfile

import mirrored_script as kinds
import tiny

from okd_tf.training import crew, distribution


def train(kind, strategy):
    """(trainable variables at the start, at the end, the others, the last row of the history if it leads)."""
    build, bilevel = kinds.training(kind)
    with tempfile.TemporaryDirectory() as folder:
        stored = None
        if kind == "classifier, stored logits":
            stored = kinds.write_bank(pathlib.Path(folder))
            build = functools.partial(kinds.make_classifier, loss="oracle")
        model, start, row = kinds.train(build, bilevel, strategy, stored)
    return start, tiny.values(model.trainable_variables), tiny.values(model.non_trainable_variables), row


def differences(kind, strategy):
    """By how much many workers differ from one device, and one from its beginning; {} if others lead."""
    _, weights, statistics, row = train(kind, strategy)
    if not crew.of(strategy).leads:
        return {}
    start, alone, statistics_alone, row_alone = train(kind, distribution.make("none", kinds.BATCH))
    return {
        "learnt": kinds.largest(start, alone),
        "weights": kinds.largest(weights, alone),
        "statistics": kinds.largest_ratio(statistics, statistics_alone),
        "history": max(
            abs(row[name] - row_alone[name]) / max(1.0, abs(row[name])) for name in row if name != "seconds"
        ),
    }


if __name__ == "__main__":
    over_all = distribution.make("multi_worker", kinds.BATCH)
    found = {}
    for one in sys.argv[1:]:
        if one.startswith("kept: "):
            found[one] = kinds.kept(one.removeprefix("kept: "), over_all)
        else:
            found[one] = differences(one, over_all)
    print(json.dumps(found))
