"""Optimizers and learning-rate schedules of the weights.

A schedule is a function of the optimizer's own step count, so it resumes with it.
"""

import keras
import tensorflow as tf

SCHEDULES = ("cosine", "step")
MOMENTUM = 0.9


def sgd(learning_rate, schedule, steps):
    """SGD with Nesterov momentum 0.9 under a schedule over `steps` steps.

    Args:
        learning_rate: the highest rate.
        schedule: "cosine": linear warm-up over the first twentieth, then half a cosine to 0 (Loshchilov and
            Hutter, 2017); "step": divided by 10 after one half and after three quarters (He et al., 2015).
        steps: length of the training.
    """
    if schedule == "cosine":
        warmup = steps // 20
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=learning_rate / 10 if warmup else learning_rate,
            decay_steps=max(1, steps - warmup),
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    elif schedule == "step":
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            # Keras still uses a rate at the step that ends it.
            [steps // 2 - 1, steps * 3 // 4 - 1],
            [learning_rate, learning_rate / 10, learning_rate / 100],
        )
    else:
        raise ValueError(f"schedule must be one of {SCHEDULES}, got {schedule!r}")
    # Named, since Keras would number it in the order in which a process makes them, and a checkpoint has it.
    return keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True, name="sgd")


def with_l2(gradients, weights, weight_decay, factors=None):
    """Adds the gradient of weight_decay / 2 * |w|^2 to each gradient.

    Keras's own `weight_decay` is decoupled from momentum; recipes of the field mean this L2. Replicas sum
    their gradients, so each adds its share.

    Args:
        gradients: one a weight.
        weights: Keras variables.
        weight_decay: the factor.
        factors: of the decay of each weight, scalars; None is 1 for all.
    """
    share = weight_decay / tf.distribute.get_strategy().num_replicas_in_sync
    return [
        gradient + share * factor * tf.convert_to_tensor(weight)
        for gradient, weight, factor in zip(gradients, weights, factors or [1.0] * len(weights), strict=True)
    ]
