"""The calls of a model, in the order in which a clone is built."""

import branched
import keras
import pytest

from okd_tf.backbones import graph


def _names(model):
    return [call.layer.name for call in graph.calls(model)]


def test_calls_are_in_the_order_of_clone_model():
    seen = []

    def call(layer, *args, **kwargs):
        seen.append(layer.name)
        return layer(*args, **kwargs)

    model = branched.make()
    keras.models.clone_model(model, call_function=call)
    assert _names(model) == seen
    assert len(seen) == len(model.layers) - 1


def test_every_call_comes_after_those_it_reads():
    names = _names(branched.make())
    for before, after in [
        ("stem", "left_conv"),
        ("left_conv", "left"),
        ("left", "join"),
        ("right", "join"),
        ("down", "middle"),
        ("middle", "out"),
    ]:
        assert names.index(before) < names.index(after)


def test_calls_have_the_shapes_they_read_and_give():
    by_name = {call.layer.name: call for call in graph.calls(branched.make())}
    assert by_name["join"].inputs == ((None, 8, 8, 4), (None, 8, 8, 4))
    assert by_name["join"].outputs == ((None, 8, 8, 8),)
    assert by_name["down"].outputs == ((None, 4, 4, 8),)


def test_a_layer_called_twice_is_two_calls():
    inputs = keras.Input((4, 4, 2))
    shared = keras.layers.Conv2D(2, 1, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    assert _names(model) == ["shared", "shared"]


def test_a_model_can_be_looked_at_as_for_another_size():
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    assert graph.calls(model)[0].outputs == ((None, None, None, 2),)
    assert graph.calls(model, (None, 9, 7, 1))[0].outputs == ((None, 7, 5, 2),)


def test_a_sequential_model_can_be_looked_at():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.ReLU(name="a"), keras.layers.ReLU(name="b")]
    )
    assert _names(model) == ["a", "b"]


def test_looking_changes_nothing():
    model = branched.make()
    before = model.to_json()
    graph.calls(model)
    assert model.to_json() == before


def _built(layer):
    layer.build((None, 4, 4, 2))
    return layer


@pytest.mark.parametrize(
    ("layer", "keeps"),
    [
        (keras.layers.Normalization(), True),
        (keras.layers.Conv2D(2, 3), False),
        (keras.layers.BatchNormalization(), False),
        (keras.layers.BatchNormalization(scale=False, center=False), False),
        (keras.layers.Dropout(0.5), False),
        (keras.layers.Rescaling(2.0), False),
    ],
)
def test_what_keeps_state_is_shared_and_all_else_is_made_anew(layer, keeps):
    layer = _built(layer)
    assert graph.keeps_state(layer) is keeps
    assert (graph.fresh(layer) is layer) is keeps
