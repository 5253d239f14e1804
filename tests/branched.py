"""A user's model with branches and several places of each shape, as tests of own backbones need one."""

import keras

SHAPE, CLASSES = (8, 8, 1), 3
POINTS = ("stem", "left", "right", "join", "middle", "out")  # in the order of calls
PATTERN = "|".join(POINTS)


def make(softmax=True, name="mine"):
    """Pixels of any scale -> probabilities, or logits."""
    inputs = keras.Input(SHAPE, name="image")
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    left = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="left_conv")(stem)
    left = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-2, name="left")(left)
    right = keras.layers.DepthwiseConv2D(3, padding="same", name="right")(stem)
    join = keras.layers.Concatenate(name="join")([left, right])
    down = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="down")(join)
    middle = keras.layers.Conv2D(8, 1, name="middle")(down)
    out = keras.layers.Add(name="out")([down, middle])
    features = keras.layers.GlobalAveragePooling2D(name="pool")(out)
    head = keras.layers.Dense(CLASSES, activation="softmax" if softmax else None, name="head")
    return keras.Model(inputs, head(features), name=name)
