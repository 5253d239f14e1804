"""After which layers an add-on layer may come."""

import branched
import keras
import pytest

from okd_tf import errors
from okd_tf.backbones import attach


def _odd():
    """Layers that no operation can follow, among others that one can."""
    inputs = keras.Input((8, 8, 3), name="image")
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    first = shared(inputs)
    total = keras.layers.Add(name="add")([shared(first), first])
    features = keras.layers.ReLU(name="good")(total)
    flat = keras.layers.Flatten(name="flat")(features)
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(flat))


def _refusal(model, pattern):
    with pytest.raises(errors.UserError) as refusal:
        attach.select(model, pattern, "mine.keras")
    message = str(refusal.value)
    assert message.startswith("--attach_after: ")
    assert "\n" not in message
    return message


def test_points_come_in_the_order_of_calls_whatever_the_expression_says():
    model = branched.make()
    assert attach.select(model, "|".join(reversed(branched.POINTS)), "") == branched.POINTS


def test_the_whole_name_must_match():
    model = branched.make()
    assert attach.select(model, "left", "") == ("left",)
    assert attach.select(model, "left.*", "") == ("left_conv", "left")
    assert attach.select(model, ".*t", "") == ("left", "right", "out")


def test_shapes_are_height_width_and_channels():
    shapes = attach.shapes(branched.make())
    assert shapes["stem"] == (8, 8, 4)
    assert shapes["out"] == (4, 4, 8)
    assert not {"image", "pool", "head"} & set(shapes)


def test_an_addition_written_as_an_operator_can_be_chosen():
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs) + inputs)
    name = model.output_names[0]
    assert name not in [layer.name for layer in model.layers]
    assert attach.select(model, name, "") == (name,)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "'(' is not a regular expression"),
        ("*_add", "'*_add' is not a regular expression"),
        ("nothing", "'nothing' matches no layer of mine.keras; an add-on layer can come after add, good"),
        ("image", "'image' matches no layer"),
        ("flat", "matches layer 'flat' of mine.keras, which gives 1 dimensions (its output is (192,))"),
        ("head", "matches layer 'head' of mine.keras, which gives 1 dimensions (its output is (4,))"),
        ("shared", "matches layer 'shared' of mine.keras, which is called more than once"),
        (".*", "matches layer 'shared'"),
        ("", "mine.keras does not say where add-on layers may come; give a regular expression"),
    ],
)
def test_what_names_no_possible_point_is_refused_in_one_line(pattern, said):
    message = _refusal(_odd(), pattern)
    assert said in message
    assert "add, good" in message or pattern in ("(", "*_add")


def test_unknown_sizes_are_refused():
    inputs = keras.Input((None, None, 1))
    features = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(features))
    assert "matches layer 'conv' of mine.keras, which gives unknown sizes" in _refusal(model, "conv")


def test_a_long_list_of_names_is_cut():
    inputs = features = keras.Input((4, 4, 1))
    for index in range(attach.LISTED + 3):
        features = keras.layers.ReLU(name=f"relu{index}")(features)
    message = _refusal(keras.Model(inputs, features), "none")
    assert f"relu{attach.LISTED - 1} and 3 more" in message
    assert f"relu{attach.LISTED}," not in message
