"""A worker of several: trains the kinds named as arguments with the others.

The lead then trains each alone, on one device, and prints by how much that differs.
"""

import json
import pathlib
import sys
import tempfile

import mirrored_script as kinds
import tiny

from okd_tf.search import STRATEGIES
from okd_tf.training import crew, distribution


def make(kind):
    """(maker of the model, whether a step takes two batches) of a kind of training."""
    if kind in kinds.SEARCHES:
        name, _ = kinds.SEARCHES[kind]
        return lambda strategy: kinds.make_search(kind, strategy), STRATEGIES[name].bilevel
    if kind == "mutual":
        return kinds.make_pair, False
    return lambda strategy: kinds.make_classifier(strategy, "oracle" if "stored" in kind else "ce"), False


def train(kind, strategy):
    """(trainable variables at the start, at the end, the others, the last row of the history if it leads)."""
    build, bilevel = make(kind)
    with tempfile.TemporaryDirectory() as folder:
        stored = kinds.write_bank(pathlib.Path(folder)) if "stored" in kind else None
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
        "statistics": kinds.largest(statistics, statistics_alone),
        "history": max(
            abs(row[name] - row_alone[name]) / max(1.0, abs(row[name])) for name in row if name != "seconds"
        ),
    }


if __name__ == "__main__":
    over_all = distribution.make("multi_worker", kinds.BATCH)
    found = {kind: differences(kind, over_all) for kind in sys.argv[1:]}
    print(json.dumps(found))
