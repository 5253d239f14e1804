"""Optimizers and learning-rate schedules of the weights, and the one way in which gradients become a step.

A schedule is a function of the optimizer's own step count, so it resumes with it. The gradients of a
replica's share of the loss become a step in this order: unscaled (float16), summed over the replicas,
clipped, penalties such as L2 added, and multiplied by a factor of each weight, if there are any. So several
devices make the same step as one.
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
    """Return SGD with momentum under a schedule over `steps` steps.

    Args:
        learning_rate: the highest rate, for the whole batch; it does not depend on the number of devices.
        schedule: "cosine": linear warm-up over the first twentieth, then half a cosine to 0 (Loshchilov and
            Hutter, 2017); "step": divided by 10 after each of `drops`.
        steps: length of the training.
        drops: fractions of the training, ascending, after which the rate drops.
        momentum: in [0, 1).
        nesterov: whether the momentum is Nesterov's (Sutskever et al., 2013).

    Raises:
        ValueError: unknown schedule.
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
    """Return an unbuilt optimizer for use in a precision: in float16 wrapped, so that it scales the loss.

    Small gradients of activations are zero in float16. So the loss is multiplied by a large scale, which is
    lowered when gradients overflow and slowly raised while they do not, and gradients are divided by it. Use
    `scale_loss` and `variables` of the result as of any optimizer, and `unscaled` and `apply` below.
    """
    if compute != precision.FLOAT16:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name=f"{optimizer.name}_scaled")


def unscaled(optimizer, gradients):
    """Return the gradients of the loss, given those of `optimizer.scale_loss(loss)`."""
    if not _scales(optimizer):
        return gradients
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    return [gradient / scale for gradient in gradients]


def if_finite(optimizer, gradients, those, others):
    """Return the tensors `those`, or `others` where a scaled loss has gradients that are not finite."""
    if not _scales(optimizer):
        return those
    finite = _finite(gradients)
    return [tf.where(finite, one, other) for one, other in zip(those, others, strict=True)]


def scalars(optimizer, name):
    """Return {"<name>/loss_scale"} to record; {} if the optimizer does not scale its loss."""
    return {f"{name}/loss_scale": float(_value(optimizer.dynamic_scale))} if _scales(optimizer) else {}


def refuse_what_is_stuck(by_name, step):
    """Raise if an optimizer whose loss scale is down to 1 still skipped the last step.

    A step that is skipped now and then is how the scale is found, and no failure.

    Args:
        by_name: optimizers, keyed by what they update.
        step: number of steps made, for the message.

    Raises:
        UserError: names what is not updated any more.
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
    """Make one step of an optimizer, from the gradients of all replicas.

    In float16 a step with gradients that are not finite changes nothing but the scale. It is counted all the
    same: schedules, and samples drawn by the step's number, go on.

    Args:
        optimizer: built; it has no clipping or weight decay of its own.
        gradients: the gradients of this replica's share of the loss, `unscaled`, one a weight.
        weights: Keras variables.
        clip_norm: largest norm of the gradients of the whole batch, over all weights; 0 disables clipping.
        beside: (clipped gradients of the whole batch) -> the same with penalties added. So clipping bounds
            the effect of a batch on the weights, and leaves L2 as it is.
        factors: learning-rate factors of the weights, scalars; None: 1 for all. They multiply the gradients,
            since a step of SGD with momentum is linear in those; at 0, L2 has no effect either.
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
    """Return the gradients, scaled down to the norm `norm` if their joint norm |g| is larger."""
    found = tf.linalg.global_norm(gradients)
    return [gradient * (norm / tf.maximum(found, norm)) for gradient in gradients]


def scaled_by(factors, gradients):
    """Return each gradient times its factor; None is 1 for all."""
    if factors is None:
        return gradients
    return [gradient * factor for gradient, factor in zip(gradients, factors, strict=True)]


def with_l2(gradients, weights, weight_decay, factors=None):
    """Return each gradient of the whole batch plus the gradient of weight_decay / 2 * |w|^2.

    Keras's own `weight_decay` is decoupled from momentum; recipes of the field mean this L2.

    Args:
        gradients: one a weight.
        weights: Keras variables.
        weight_decay: the L2 factor.
        factors: factors of each weight's decay, scalars; None: 1 for all.
    """
    return [
        gradient + weight_decay * factor * tf.convert_to_tensor(weight)
        for gradient, weight, factor in zip(gradients, weights, factors or [1.0] * len(weights), strict=True)
    ]


def _value(variable):
    """Return the value of a scalar variable, which may be a distributed one."""
    return tf.convert_to_tensor(variable).numpy()


def _scales(optimizer):
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _finite(gradients):
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients]))


def _guarded(optimizer, finite, step):
    """Make a step; where the loss is scaled, skip it if gradients are not finite, and adapt the scale."""
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
    """Make the step of `optimizer.apply` from gradients that are already summed over the replicas."""
    rate = optimizer.learning_rate
    for gradient, weight in zip(gradients, weights, strict=True):

        def move(variable, gradient, rate, constraint=weight.constraint):
            optimizer.update_step(gradient, variable, rate)
            if constraint is not None:
                variable.assign(constraint(variable))

        strategy.extended.update(weight.value, move, args=(gradient, rate), group=False)
    optimizer.iterations.assign_add(1)
