"""What a network of a run learns from: its loss, and batches with what teachers say of them.

The loss asks them live (--views=0), or batches bring their stored logits. It is the teachers themselves that
are heard, or with `links` the last of so many assistants.
"""

from okd_tf import losses, seeds
from okd_tf.data import batches, imbalance
from okd_tf.teachers import folds
from okd_tf.training import objective as objectives


def needs_bank(context):
    """Whether stored logits are wanted: some loss needs teachers, and they are not asked live."""
    return needs_teachers(context.settings) and context.settings.views > 0


def needs_teachers(chosen):
    """Return whether, of these settings, the loss of the search or of the student needs teachers."""
    used = set(chosen.train_losses)
    if chosen.searches:
        used.add(chosen.search_loss)
    return bool(used & losses.NEEDS_TEACHERS)


def objective(context, loss, links=0):
    """A loss, by its name, with the run's settings, and with live teachers if that is how they are asked."""
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
    """Batches of the training split in the run's views, with stored logits if the loss wants them.

    Args:
        context: the run.
        loss: its name.
        purpose: of the batches; each has an order of its own.
        links: whose logits they are.
        seed: of the order, in place of the trial's.
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
    """Batches of the validation images as they are, with the teachers' stored logits if the loss wants them.

    Classes count in them as they do in training batches: what learns from either learns the same task.
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
    """Whose logits count for which training example, bool [examples, teachers]; None: all."""
    if loss not in losses.NEEDS_TEACHERS or not context.settings.held_out_only:
        return None
    folds.check_held_out(context.teaching.seen)
    return ~context.teaching.seen.T


def _balance(context):
    """What batches are told about classes of unequal size; weights are of the training split."""
    balance = context.settings.balance
    return {
        "balanced": balance == imbalance.SAMPLING,
        "class_weights": imbalance.class_weights(balance, context.data.train.labels),
    }
