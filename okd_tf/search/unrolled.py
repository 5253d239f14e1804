"""The second-order gradient of the alphas: the validation loss after one step of the weights.

Liu, Simonyan, Yang, "DARTS" (ICLR 2019), eq. 6 to 8. With w' = w - xi grad_w L_train(w, alpha),

    d/d alpha L_val(w', alpha) = grad_alpha L_val(w', alpha) - xi H v,   v = grad_w' L_val(w', alpha),
    H v = [grad_alpha L_train(w + eps v, alpha) - grad_alpha L_train(w - eps v, alpha)] / (2 eps),

eps = 0.01 / |v|. On smooth networks that is the exact gradient to four digits. ReLU has kinks; where some lie
between the two sides, the difference is not the derivative, and can be further from the exact gradient than
first order is.

Every network here is evaluated by `stateless_call`: weights and moving statistics stay unchanged, so nothing
has to be restored.

Below float32, a float32 twin of the network evaluates the two sides: sixteen bits round weights by more than
the distance of the sides.
"""

import math

import tensorflow as tf

from okd_tf.training import gentle, optimizers

EPSILON = 0.01  # times 1 / |v|


def alpha_gradients(model, training_batch, validation_batch):
    """Return the gradients of L_val(w', alpha) with respect to the alphas, and L_val(w', alpha).

    The gradients exclude the scale of the loss and are this replica's share: their sum over replicas is the
    gradient for the whole batch. w' and v are computed on the whole batch. xi is the weights' learning rate,
    times the factor of each weight; L_train includes L2, and its gradient is not clipped.

    Args:
        model: a `DartsSearch`.
        training_batch: the batch of L_train.
        validation_batch: the batch of L_val.
    """
    now = [tf.convert_to_tensor(weight) for weight in model.supernet.weights()]
    xi = tf.cast(model.weight_optimizer.learning_rate, tf.float32)

    (_, gradients), _ = _gradients(model, training_batch, now, of_alphas=False)
    gradients = _over_replicas(gradients)
    decay = model.options.weight_decay
    factors = gentle.factors(model.gentle, model.supernet.weights())
    steps = [gradient + decay * weight for weight, gradient in zip(now, gradients, strict=True)]
    steps = optimizers.scaled_by(factors, steps)
    ahead = [weight - xi * step for weight, step in zip(now, steps, strict=True)]
    # Of gradients that overflow there is no w'. That step is skipped, and no failure: its loss is that at w.
    ahead = optimizers.if_finite(model.alphas.optimizer, gradients, ahead, now)
    (direct, direction), loss = _gradients(model, validation_batch, ahead)
    direction = optimizers.scaled_by(factors, _over_replicas(direction))
    epsilon = EPSILON / tf.maximum(tf.linalg.global_norm(direction), 1e-12)
    sides = []
    for sign in (1.0, -1.0):
        moved = [weight + sign * epsilon * v for weight, v in zip(now, direction, strict=True)]
        (side, _), _ = _gradients(model, training_batch, moved, of_weights=False, precise=True)
        sides.append(side)
    implicit = [(plus - minus) / (2.0 * epsilon) for plus, minus in zip(*sides, strict=True)]
    found = [by_alpha - xi * by_weights for by_alpha, by_weights in zip(direct, implicit, strict=True)]
    return optimizers.if_finite(model.alphas.optimizer, gradients, found, [math.nan] * len(found)), loss


def _gradients(model, batch, weights, of_alphas=True, of_weights=True, precise=False):
    """Return ((gradients of the loss by the alphas, by the weights), the loss) at these weights."""
    network = model.network
    alphas = [tf.convert_to_tensor(alpha) for alpha in model.alphas.variables]
    teacher_logits = model.objective.teacher_logits(batch)
    wanted = [alphas if of_alphas else [], weights if of_weights else []]
    given = {
        id(variable): value
        for variables, values in ((model.alphas.variables, alphas), (model.supernet.weights(), weights))
        for variable, value in zip(variables, values, strict=True)
    }
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(wanted)
        logits, _ = (model.precise() if precise else network).stateless_call(
            [given[id(variable)] for variable in network.trainable_variables],
            [tf.convert_to_tensor(variable) for variable in network.non_trainable_variables],
            batch["image"],
            training=True,
        )
        loss = model.objective(batch, logits, teacher_logits)
        scaled = model.alphas.optimizer.scale_loss(loss)
    gradients = tape.gradient(scaled, wanted, unconnected_gradients="zero")
    return [optimizers.unscaled(model.alphas.optimizer, part) for part in gradients], loss


def _over_replicas(gradients):
    """Return the sums of gradients over the replicas of the strategy."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return gradients
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
