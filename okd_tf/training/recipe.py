"""Training of a classifier from start to file, or of two that teach each other, the same for all stages."""

import dataclasses
import pathlib

import keras

from okd_tf import files, progress, seeds
from okd_tf.backbones import keras_file
from okd_tf.data import batches
from okd_tf.ops import batch_norm, precision
from okd_tf.training import classifier, crew, inference, keeping, loop, metrics, mutual, optimizers, scalars

_PEER = "peer_"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a training that do not depend on the network and the loss.

    Attributes:
        learning_rate: the highest rate of SGD.
        schedule: a name in `optimizers.SCHEDULES`.
        drops: for the schedule "step": fractions of a training after which the rate drops.
        warm_rate: learning-rate factor of layers that start from pretrained weights.
        frozen_epochs: number of first epochs in which those layers are frozen.
        weight_decay: L2 factor on all weights.
        clip_norm: largest norm of the gradients before L2 is added; 0 disables clipping.
        compute: a name in `ops.precision.PRECISIONS`, the precision of training steps. The network is
            validated and saved in float32.
        steps_per_execution: number of steps that one traced call runs.
        checkpoint_seconds: seconds between checkpoints.
        checkpoint_steps: steps between checkpoints, in addition; 0: no limit in steps.
        strategy: a tf.distribute.Strategy.
        momentum: momentum of SGD, in [0, 1).
        nesterov: whether the momentum is Nesterov's.
        keep: a name in `keeping.HOW`, the weights to keep at the end; a search always keeps the last.
        average_decay: decay of averaged weights, in (0, 1); negative: `keeping.default_decay`.
    """

    learning_rate: float
    schedule: str
    weight_decay: float
    steps_per_execution: int
    checkpoint_seconds: float
    checkpoint_steps: int
    strategy: object
    clip_norm: float = 0.0
    compute: str = precision.FLOAT32
    drops: tuple[float, ...] = optimizers.DROPS
    momentum: float = optimizers.MOMENTUM
    nesterov: bool = True
    keep: str = keeping.HOW[0]
    average_decay: float = -1.0
    warm_rate: float = 1.0
    frozen_epochs: int = 0

    @property
    def crew(self):
        """Return the group of workers that train together."""
        return crew.of(self.strategy)

    def optimizer(self, steps):
        """Return SGD with the schedule over `steps` steps, in float32."""
        return optimizers.sgd(
            self.learning_rate, self.schedule, steps, self.drops, self.momentum, self.nesterov
        )

    @property
    def synchronized(self):
        """Return whether batch statistics must be shared between replicas."""
        return self.strategy.num_replicas_in_sync > 1


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished training.

    Of many workers, only the chief has the whole history.

    Attributes:
        network: model of stock layers, with the final weights.
        history: one dict per epoch.
        keeper: the keeper of `keeping` that chose the weights.
    """

    network: keras.Model
    history: list
    keeper: keeping.Last | keeping.Best | keeping.Average

    def metrics(self):
        """Return the validation part of a metrics.json: figures of last epoch, best epoch, final weights."""
        best = max(self.history, key=lambda row: row["val_accuracy"])
        summary = {
            name: {"accuracy": row["val_accuracy"], "loss": row["val_loss"], "epoch": int(row["epoch"])}
            for name, row in (("last", self.history[-1]), ("best", best))
        }
        summary["kept"] = {"how": self.keeper.how, **self.keeper.kept(self.history)}
        return {"val": summary, "epochs": len(self.history), "params": self.network.count_params()}


def train(
    make,
    objective,
    data: batches.Batches,
    val,
    *,
    epochs,
    seed,
    recipe,
    folder,
    logs,
    title,
    save_to,
    is_kept=None,
):
    """Train a network and save it at the end; resume from `folder`.

    Checkpoints stay; the caller removes them with `finish` once all results based on them are written.

    Args:
        make: () -> a new Functional model of stock layers.
        objective: an `Objective`.
        data: training batches.
        val: the examples to validate on after each epoch.
        epochs: length of the training.
        seed: seed of the initial weights.
        recipe: a `Recipe`.
        folder: folder of checkpoints and history.
        logs: folder of TensorBoard events.
        title: name of the training on screen.
        save_to: path of the .keras file.
        is_kept: (name of a layer) -> whether `make` gives it pretrained weights; None: no layer has any.

    Returns:
        A `Trained`.

    Raises:
        UserError, Stopped: see `loop.fit`.
    """
    model = make_classifier(make, objective, data, epochs=epochs, seed=seed, recipe=recipe, is_kept=is_kept)
    keepers = _keepers({"": model.network}, data, epochs, recipe)
    history = _fit(model, {"": model.network}, keepers, data, val, epochs, recipe, folder, logs, title)
    return _saved(model.network, history, keepers[""], recipe, save_to, title)


def make_classifier(make, objective, data, *, epochs, seed, recipe, is_kept=None):
    """Return the freshly initialised `Classifier` that `train` trains; arguments as for `train`."""
    with recipe.strategy.scope():
        network = _fresh(make, seed, recipe)
        optimizer = _optimizer(recipe, epochs, data)
        return classifier.Classifier(network, objective, optimizer, **_regularization(recipe, data, is_kept))


def train_pair(
    make,
    objective,
    data: batches.Batches,
    val,
    *,
    epochs,
    seed,
    recipe,
    folder,
    logs,
    title,
    save_to,
    peer_to,
    is_kept=None,
):
    """Train two networks that teach each other, and save both; other arguments and errors as for `train`.

    Args:
        make: () -> a new Functional model of stock layers; called for each of the two.
        objective: an `Objective` of a loss in `losses.NEEDS_PEERS`.
        seed: seed of the first network's initial weights; the peer's is derived from it.
        save_to: path of the first network's .keras file.
        peer_to: path of the peer's .keras file.

    Returns:
        The `Trained` of the first network, and that of the peer.
    """
    with recipe.strategy.scope():
        pair = [_fresh(make, seed, recipe), _fresh(make, seeds.derive(seed, "peer"), recipe)]
        optimizer = _optimizer(recipe, epochs, data)
        model = mutual.Pair(pair, objective, optimizer, **_regularization(recipe, data, is_kept))
    networks = dict(zip(("", _PEER), pair, strict=True))
    keepers = _keepers(networks, data, epochs, recipe)
    history = _fit(model, networks, keepers, data, val, epochs, recipe, folder, logs, title)
    own = {name.removeprefix(_PEER): name for name in (history or [{}])[0] if name.startswith(_PEER)}
    of_peer = [row | {name: row[theirs] for name, theirs in own.items()} for row in history]
    return (
        _saved(pair[0], history, keepers[""], recipe, save_to, title),
        _saved(pair[1], of_peer, keepers[_PEER], recipe, peer_to, f"{title}, peer"),
    )


def _regularization(recipe, data, is_kept):
    """Return the regularization and freezing arguments of a model in training."""
    return {
        "weight_decay": recipe.weight_decay,
        "clip_norm": recipe.clip_norm,
        "is_kept": is_kept,
        "warm_rate": recipe.warm_rate,
        "frozen_steps": recipe.frozen_epochs * data.steps_per_epoch,
    }


def _fresh(make, seed, recipe):
    """Return a new network in training form; weights that `make` does not load are freshly initialised."""
    keras.utils.set_random_seed(seeds.derive(seed, "initial weights"))
    return batch_norm.fused_copy(make(), recipe.synchronized, recipe.compute)


def _optimizer(recipe, epochs, data):
    return optimizers.scaling(recipe.optimizer(epochs * data.steps_per_epoch), recipe.compute)


def _keepers(networks, data, epochs, recipe):
    """Return the keeper of each network's final weights, by the same names."""
    steps = epochs * data.steps_per_epoch
    return {
        name: keeping.make(recipe.keep, network, steps, recipe.average_decay, recipe.crew)
        for name, network in networks.items()
    }


def _fit(model, networks, keepers, data, val, epochs, recipe, folder, logs, title):
    """Train a model, validate its networks (by their figures' prefix) each epoch; return the history."""
    validated = {prefix: _Validated(network, recipe.compute) for prefix, network in networks.items()}

    def validate():
        return {
            f"{prefix}{name}": value
            for prefix, network in validated.items()
            for name, value in keepers[prefix].validate(lambda network=network: network.evaluate(val)).items()
        }

    return loop.fit(
        model,
        data,
        epochs=epochs,
        folder=pathlib.Path(folder),
        title=title,
        strategy=recipe.strategy,
        at_epoch_end=validate,
        beside=[keeper for keeper in keepers.values() if keeper.variables],
        callbacks=[scalars.ScalarWriter(logs)] if recipe.crew.leads else [],
        steps_per_execution=recipe.steps_per_execution,
        checkpoint_seconds=recipe.checkpoint_seconds,
        checkpoint_steps=recipe.checkpoint_steps,
    )


class _Validated:
    """A network in training, evaluated as it would be saved now: in float32."""

    def __init__(self, network, compute):
        """Create it from a network and its precision; one below float32 is copied at each evaluation."""
        self._network = network
        self._twin = network if compute == precision.FLOAT32 else batch_norm.fused_copy(network)
        self._predictor = inference.Predictor(self._twin)

    def evaluate(self, val):
        """Return accuracy and loss on examples."""
        if self._twin is not self._network:
            self._twin.set_weights(self._network.get_weights())
        return self._predictor.evaluate(val)


def _saved(network, history, keeper, recipe, path, title):
    """Write a trained network with stock layers and its final weights; return its `Trained`."""
    keeper.put()
    trained = Trained(batch_norm.stock_copy(network), history, keeper)

    def save():
        keras_file.save(path, trained.network)
        progress.say(f"{title}: done, {path}")
        if keeper.how != "last":
            progress.say(f"{title}: {metrics.kept_in_words(trained.metrics()['val'])}")

    recipe.crew.lead(save)
    return trained


def finish(folder):
    """Remove the checkpoints of a training whose results are written."""
    files.remove(_checkpoints(folder))


def is_finished(folder):
    """Return whether a training has no checkpoints any more."""
    return not _checkpoints(folder).exists()


def _checkpoints(folder):
    return pathlib.Path(folder) / "checkpoints"
