"""Training inputs of a run's networks: the loss, and batches with teacher logits.

The loss evaluates the teachers live (--views=0), or batches contain their stored logits. With `links`, the
teacher is the last of that many assistants (the links of the teacher chain), else the teachers themselves.
"""

from okd_tf import losses, seeds
from okd_tf.data import batches, imbalance
from okd_tf.teachers import folds
from okd_tf.training import objective as objectives


def needs_bank(context):
    """Return whether stored logits are needed: some loss needs teachers, and they are not evaluated live."""
    return needs_teachers(context.settings) and context.settings.views > 0


def needs_teachers(chosen):
    """Return whether, by these settings, the loss of the search or of the student needs teachers."""
    used = set(chosen.train_losses)
    if chosen.searches:
        used.add(chosen.search_loss)
    return bool(used & losses.NEEDS_TEACHERS)


def objective(context, loss, links=0):
    """Return the `Objective` of a loss with the run's settings, and with live teachers if --views=0."""
    chosen = context.settings
    live = loss in losses.NEEDS_TEACHERS and chosen.views == 0
    given = chosen.kd_weight >= 0
    return objectives.Objective(
        loss,
        chosen.temperature,
        chosen.ce_weight,
        live_teachers=context.teaching.after(links).live if live else None,
        settings={setting: getattr(chosen, setting) for setting in losses.SETTINGS[loss]},
        kd_weight=chosen.kd_weight if given else losses.usual_kd_weight(loss, context.data.classes),
    )


def training_batches(context, loss, purpose, links=0, seed=None):
    """Return the `Batches` of the training split's views, with stored logits if the loss needs them.

    Args:
        context: the run.
        loss: its name.
        purpose: purpose of the batches; each purpose has an order of its own.
        links: number of assistants, of which the last one gives the logits; 0: the teachers.
        seed: seed of the order; None is the trial's.

    Raises:
        UserError: the stored logits are missing, damaged or of other inputs.
    """
    chosen = context.settings
    return batches.Batches(
        context.data.train,
        chosen.batch_size,
        seeds.derive(context.trial_seed if seed is None else seed, purpose),
        context.data.augmentation,
        view_seed=chosen.seed,
        num_views=chosen.views,
        teacher_logits=_stored_logits(context, loss, "train", links),
        # An assistant has seen all training examples, and is heard all the same.
        heard=None if links else _heard(context, loss),
        mixing_of_views=context.mixing,
        **_balance(context),
    )


def validation_batches(context, loss, purpose):
    """Return the `Batches` of unaugmented validation images, with stored logits if the loss needs them.

    Classes are balanced as in training batches, so that both define the same task.

    Raises:
        UserError: the stored logits are missing, damaged or of other inputs.
    """
    val = context.data.val
    replicas = context.strategy.num_replicas_in_sync
    return batches.Batches(
        val,
        min(context.settings.batch_size, len(val)) // replicas * replicas,
        seeds.derive(context.trial_seed, purpose),
        teacher_logits=_stored_logits(context, loss, "val"),
        **_balance(context),
    )


def _stored_logits(context, loss, part, links=0):
    if loss not in losses.NEEDS_TEACHERS or not context.settings.views:
        return None
    return context.teaching.stored_after(links).reader(part)


def _heard(context, loss):
    """Return the teacher mask of training examples, bool [examples, teachers]; None: all teachers count."""
    if loss not in losses.NEEDS_TEACHERS or not context.settings.held_out_only:
        return None
    folds.check_held_out(context.teaching.seen)
    return ~context.teaching.seen.T


def _balance(context):
    """Return the arguments of `Batches` for unequal class sizes; weights are those of the training split."""
    balance = context.settings.balance
    return {
        "balanced": balance == imbalance.SAMPLING,
        "class_weights": imbalance.class_weights(balance, context.data.train.labels),
    }
