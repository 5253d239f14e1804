"""Optimizers and learning-rate schedules of the weights, and the one way in which gradients become a step.

A schedule is a function of the optimizer's own step count, so it resumes with it. Gradients of a replica's
share of the loss become a step in this order: unscaled (float16), summed over the replicas, clipped, what the
loss has beside them added, such as L2, and multiplied by a factor of each weight, if there are any. So
several devices make the step that one would.
"""

import keras
import tensorflow as tf

from okd_tf import errors
from okd_tf.ops import precision

SCHEDULES = ("cosine", "step")
MOMENTUM = 0.9
DROPS = (0.5, 0.75)  # of "step", as He et al. (2015) have them
LEAST_SCALE = 1.0  # of a loss in float16: below it nothing is scaled up any more


def sgd(learning_rate, schedule, steps, drops=DROPS, momentum=MOMENTUM, nesterov=True):
    """SGD with momentum under a schedule over `steps` steps.

    Args:
        learning_rate: the highest rate. It is of the whole batch, and is what it is on any number of devices.
        schedule: "cosine": linear warm-up over the first twentieth, then half a cosine to 0 (Loshchilov and
            Hutter, 2017); "step": divided by 10 after each of `drops`.
        steps: length of the training.
        drops: shares of it, ascending.
        momentum: in [0, 1).
        nesterov: whether it is Nesterov's (Sutskever et al., 2013).
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
            [int(steps * share) - 1 for share in drops],
            [learning_rate / 10**count for count in range(len(drops) + 1)],
        )
    else:
        raise ValueError(f"schedule must be one of {SCHEDULES}, got {schedule!r}")
    # Named, since Keras would number it in the order in which a process makes them, and a checkpoint has it.
    return keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov, name="sgd")


def scaling(optimizer, compute):
    """An optimizer, not yet built, as it is used in a precision: in float16 it scales its loss.

    Small gradients of activations are zero in float16. So the loss is multiplied by a large number, that goes
    down where gradients overflow and slowly up where they do not, and gradients are divided by it. Of the
    result, use `scale_loss` and `variables` as of any optimizer, and `unscaled` and `apply` below.
    """
    if compute != precision.FLOAT16:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name=f"{optimizer.name}_scaled")


def unscaled(optimizer, gradients):
    """Gradients of the loss, made of those of `optimizer.scale_loss(loss)`."""
    if not _scales(optimizer):
        return gradients
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    return [gradient / scale for gradient in gradients]


def if_finite(optimizer, gradients, those, others):
    """Tensors: `those`, or where the loss is scaled and gradients of it are not finite, `others`."""
    if not _scales(optimizer):
        return those
    finite = _finite(gradients)
    return [tf.where(finite, one, other) for one, other in zip(those, others, strict=True)]


def scalars(optimizer, name):
    """What to record of an optimizer that scales its loss, with figures that begin with a name; else {}."""
    return {f"{name}/loss_scale": float(_value(optimizer.dynamic_scale))} if _scales(optimizer) else {}


def refuse_what_is_stuck(by_name, step):
    """Refuses to go on where all that is left of a scale is 1 and the last step was skipped all the same.

    A step that is skipped now and then is how a scale is found, and no failure.

    Args:
        by_name: optimizers, by what they move.
        step: the number of steps made, for what is said.

    Raises:
        UserError: names what does not move any more.
    """
    for name, optimizer in by_name.items():
        if not _scales(optimizer) or int(_value(optimizer.step_counter)):
            continue
        if float(_value(optimizer.dynamic_scale)) <= LEAST_SCALE:
            raise errors.UserError(
                f"--precision: at step {step} the gradients of the {name} are too large for "
                f"{precision.FLOAT16} with the loss not scaled at all, so that no step is made; use "
                f"{precision.BFLOAT16}, or a lower --learning_rate"
            )


def apply(optimizer, gradients, weights, *, clip_norm=0.0, beside=lambda gradients: gradients, factors=None):
    """One step of an optimizer, from all replicas' gradients.

    In float16 a step whose gradients are not finite changes nothing but the scale. It counts all the same:
    schedules, and what is sampled by the number of the step, go on.

    Args:
        optimizer: built; it has no clipping or weight decay of its own.
        gradients: of this replica's share of the loss, `unscaled`, one a weight.
        weights: Keras variables.
        clip_norm: largest norm of the gradients of the whole batch, all weights together; 0 is any.
        beside: (gradients of the whole batch, clipped) -> the same with what the loss has beside them. So
            clipping bounds what a batch does to the weights, and L2 pulls at them as ever.
        factors: of the learning rate of each weight, scalars; None is 1 for all. A step of SGD with momentum
            is linear in the gradient, so they are factors of that; at 0, L2 does not pull either.
    """
    # One replica of a strategy, too, has its variables in it.
    distributed = tf.distribute.has_strategy()
    if distributed:
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    finite = _finite(gradients) if _scales(optimizer) else tf.constant(True)
    if clip_norm:
        gradients = clipped(gradients, clip_norm)
    gradients = scaled_by(factors, beside(gradients))
    if not distributed:
        _guarded(optimizer, finite, lambda inner: inner.apply(gradients, weights))
        return

    def update(strategy, gradients, finite):
        # All replicas have the same: their sum.
        first = strategy.experimental_local_results(finite)[0]
        _guarded(optimizer, first, lambda inner: _move(strategy, inner, gradients, weights))

    tf.distribute.get_replica_context().merge_call(update, args=(gradients, finite))


def clipped(gradients, norm):
    """The gradients, times norm / |g| if |g|, of all of them together, is more than that."""
    found = tf.linalg.global_norm(gradients)
    return [gradient * (norm / tf.maximum(found, norm)) for gradient in gradients]


def scaled_by(factors, gradients):
    """Each gradient times its factor; None is 1 for all."""
    if factors is None:
        return gradients
    return [gradient * factor for gradient, factor in zip(gradients, factors, strict=True)]


def with_l2(gradients, weights, weight_decay, factors=None):
    """Adds the gradient of weight_decay / 2 * |w|^2 to each gradient of the whole batch.

    Keras's own `weight_decay` is decoupled from momentum; recipes of the field mean this L2.

    Args:
        gradients: one a weight.
        weights: Keras variables.
        weight_decay: the factor.
        factors: of the decay of each weight, scalars; None is 1 for all.
    """
    return [
        gradient + weight_decay * factor * tf.convert_to_tensor(weight)
        for gradient, weight, factor in zip(gradients, weights, factors or [1.0] * len(weights), strict=True)
    ]


def _value(variable):
    """What a scalar variable holds, which may be one of several devices."""
    return tf.convert_to_tensor(variable).numpy()


def _scales(optimizer):
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _finite(gradients):
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients]))


def _guarded(optimizer, finite, step):
    """Makes a step; where the loss is scaled, adapts the scale, and makes none of gradients not finite."""
    if not _scales(optimizer):
        step(optimizer)
        return
    inner, scale, counter = optimizer.inner_optimizer, optimizer.dynamic_scale, optimizer.step_counter

    def skip():
        inner.iterations.assign_add(1)

    tf.cond(finite, lambda: step(inner), skip)
    now, good = tf.convert_to_tensor(scale), tf.convert_to_tensor(counter)
    grows = finite & tf.equal(good, optimizer.dynamic_growth_steps - 1)
    scale.assign(tf.where(finite, tf.where(grows, 2.0 * now, now), tf.maximum(0.5 * now, LEAST_SCALE)))
    counter.assign(tf.where(finite & ~grows, good + 1, 0))


def _move(strategy, optimizer, gradients, weights):
    """What `optimizer.apply` does, of gradients that are summed over the replicas already."""
    rate = optimizer.learning_rate
    for gradient, weight in zip(gradients, weights, strict=True):

        def move(variable, gradient, rate, constraint=weight.constraint):
            optimizer.update_step(gradient, variable, rate)
            if constraint is not None:
                variable.assign(constraint(variable))

        strategy.extended.update(weight.value, move, args=(gradient, rate), group=False)
    optimizer.iterations.assign_add(1)
