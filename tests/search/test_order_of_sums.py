"""No training step sums three or more terms in an order that depends on timing.

TensorFlow's `AddN` does, and graph optimisation makes one of any tree of additions of which only the root is
read. Terms that are 0 wherever another is not do not matter.
"""

import pytest
import tensorflow as tf
import tiny

from okd_tf import losses, search
from okd_tf.arch import spec
from okd_tf.ops import batch_norm, ordered
from okd_tf.search import supernet
from okd_tf.training import classifier, mutual, objective, optimizers

ADDITIONS = ("Add", "AddV2", "AddN")
PASSED_ON = ("Identity", "StopGradient", "PreventGradient")
# A schedule adds constants of which one is not 0.
EXACT = ("PiecewiseConstant",)


def _sums(function):
    """(name, number of terms) of every sum in a traced function and in the functions it calls."""
    graph = function.get_concrete_function().graph.as_graph_def()
    for nodes in (graph.node, *(inner.node_def for inner in graph.library.function)):
        yield from _sums_of(list(nodes))


def _sums_of(nodes):
    by_name = {node.name: node for node in nodes}

    def source(reference):
        name = reference.split(":")[0]
        while name in by_name and by_name[name].op in PASSED_ON:
            name = by_name[name].input[0].split(":")[0]
        return name

    readers = {}
    for node in nodes:
        if node.op not in PASSED_ON:
            for reference in node.input:
                if not reference.startswith("^"):
                    readers[source(reference)] = readers.get(source(reference), 0) + 1

    def terms(node):
        count = node.attr["N"].i if node.op == "AddN" else 2
        total = 0
        for reference in node.input[:count]:
            inner = by_name.get(source(reference))
            absorbed = inner is not None and inner.op in ADDITIONS and readers[inner.name] == 1
            total += terms(inner) if absorbed else 1
        return total

    for node in nodes:
        if node.op in ADDITIONS and not any(part in node.name for part in EXACT):
            yield node.name, terms(node)


def _batch(seed):
    generator = tf.random.Generator.from_seed(seed)
    return {
        "image": generator.uniform([4, *tiny.SHAPE], 0, 255),
        "label": tf.constant([0, 1, 2, 0]),
        "teacher_logits": generator.normal([4, 2, tiny.CLASSES]),
    }


def _mixed(batch):
    """The batch with partners of its images; the last is plain."""
    return {**batch, "label_b": tf.constant([1, 2, 2, 0]), "share": tf.constant([0.25, 0.5, 0.75, 1.0])}


def _rate():
    return optimizers.sgd(0.1, "cosine", 100)


def _long(function):
    return [(name, count) for name, count in _sums(function) if count > 2]


def test_a_sum_of_three_is_seen():
    """The check itself: it finds a gradient of a tensor with three readers, and a tree of additions."""
    weight = tf.Variable([1.0, 2.0])

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            value = weight * 2.0
            loss = tf.reduce_sum(tf.sin(value) * tf.cos(value) * tf.exp(value))
        return tape.gradient(loss, weight)

    @tf.function
    def tree():
        return tf.sin(weight) + (tf.cos(weight) + tf.exp(weight))

    assert [count for _, count in _long(gradient)] == [3]
    assert 3 in [count for _, count in _long(tree)]


def test_a_total_and_the_gradient_of_a_fan_out_are_seen_as_pairs():
    weight = tf.Variable([1.0, 2.0])

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            one, two, three = ordered.fan_out(weight * 2.0, 3)
            loss = tf.reduce_sum(ordered.total([tf.sin(one), tf.cos(two), tf.exp(three)]))
        return tape.gradient(loss, weight)

    assert not _long(gradient)
    x = 2.0 * weight
    expected = 2.0 * (tf.cos(x) - tf.sin(x) + tf.exp(x))
    tf.debugging.assert_near(gradient(), expected)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        *((name, {}) for name in losses.KD_LOSSES if name not in losses.NEEDS_PEERS),
        *((name, {"standardize_logits": True}) for name in sorted(losses.NEEDS_TEACHERS)),
    ],
)
def test_a_classifier_s_step(name, chosen):
    backbone = tiny.make_backbone()
    model = classifier.Classifier(
        batch_norm.fused_copy(backbone.model),
        objective.Objective(name, 2.0, 0.3, settings=chosen),
        _rate(),
        1e-3,
    )
    batch = _batch(0)
    assert not _long(tf.function(lambda: model.train_step(batch)))


def test_a_classifier_s_step_with_teachers_that_are_not_heard():
    backbone = tiny.make_backbone()
    chosen = objective.Objective("vote", 2.0, 0.3)
    model = classifier.Classifier(batch_norm.fused_copy(backbone.model), chosen, _rate(), 1e-3)
    batch = {**_batch(0), "heard": tf.constant([[True, False], [False, True], [True, True], [False, False]])}
    assert not _long(tf.function(lambda: model.train_step(batch)))


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        *((name, {}) for name in losses.KD_LOSSES if name not in losses.NEEDS_PEERS),
        ("oracle_dkd", {"standardize_logits": True, "none_right": "both"}),
        ("masked", {"standardize_logits": True}),
    ],
)
def test_a_classifier_s_step_on_mixed_images(name, chosen):
    model = classifier.Classifier(
        batch_norm.fused_copy(tiny.make_backbone().model),
        objective.Objective(name, 2.0, 0.3, settings=chosen, kd_weight=2.0),
        _rate(),
        1e-3,
    )
    batch = _mixed(_batch(0))
    assert not _long(tf.function(lambda: model.train_step(batch)))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", sorted(losses.NEEDS_PEERS))
def test_a_step_of_two_that_teach_each_other(name, mixed):
    networks = [batch_norm.fused_copy(tiny.make_backbone().model) for _ in range(2)]
    model = mutual.Pair(networks, objective.Objective(name, 2.0, 0.3), _rate(), 1e-3)
    batch = _mixed(_batch(0)) if mixed else _batch(0)
    assert not _long(tf.function(lambda: model.train_step(batch)))


@pytest.mark.parametrize(
    ("name", "unrolled", "mixed"),
    [
        ("darts", False, False),
        ("random", False, True),
        *(
            pytest.param(name, name == "darts", name in ("darts", "random"), marks=pytest.mark.slow)
            for name in search.STRATEGIES
        ),
    ],
)
def test_a_step_of_a_search(name, unrolled, mixed):
    backbone = tiny.make_backbone()
    of = tiny.make_space(backbone)
    strategy = search.STRATEGIES[name]
    model = strategy(
        supernet.make(backbone, of, strategy.cell),
        of,
        spec.Budget(of.base.params + 100, of.base.flops + 1000),
        objective.Objective("oracle", 2.0, 0.3),
        _rate(),
        tiny.make_options(alpha_weight_decay=1e-3, unrolled=unrolled),
    )
    training, validation = _mixed(_batch(0)) if mixed else _batch(0), _batch(1)
    data = (training, validation) if model.bilevel else training
    found = _long(tf.function(lambda: model.train_step(data)))
    # The mixture's own sum is one `AddN` that always begins with its first term; see `cells`.
    mixtures = [count for node, count in found if "addon" in node and count == len(of.ops)]
    assert len(found) == len(mixtures)
    assert bool(mixtures) == (name == "darts")
