"""The settings of a search that are not the training recipe's."""

import dataclasses

from okd_tf.ops import precision


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """The settings of a search.

    Attributes:
        weight_decay: L2 factor of the shared weights.
        clip_norm: largest norm of the shared weights' gradients; 0 disables clipping.
        compute: a name in `ops.precision.PRECISIONS`, the precision of the supernet while it trains.
        alpha_learning_rate: Adam's rate for the alphas.
        steps: length of the search.
        warmup_steps: number of first steps in which only the weights learn, not the alphas.
        sharpness: darts: factor of the alphas at the end of the search; 1 is plain DARTS.
        budget_weight: factor of the differentiable budget term; reinforce: exponent of the memory term.
        seed: seed of the strategy's samples.
        alpha_weight_decay: L2 factor on the alphas.
        unrolled: darts: whether the alpha step is of second order.
        temperatures: gumbel: temperature of the samples after the warm-up and at the end.
        controller_updates: reinforce: updates of the controller after each epoch.
        controller_children: reinforce: networks sampled for each update.
        controller_learning_rate: reinforce: Adam's rate.
        controller_entropy: reinforce: factor of the entropy bonus.
        reward: reinforce: "accuracy" or "loss".
        warm_rate: learning-rate factor of pretrained layers of the backbone.
        frozen_steps: number of first steps in which pretrained layers are frozen.
    """

    weight_decay: float
    alpha_learning_rate: float
    steps: int
    warmup_steps: int
    sharpness: float
    budget_weight: float
    seed: int
    clip_norm: float = 0.0
    compute: str = precision.FLOAT32
    alpha_weight_decay: float = 0.0
    unrolled: bool = False
    temperatures: tuple[float, float] = (5.0, 0.5)
    controller_updates: int = 10
    controller_children: int = 10
    controller_learning_rate: float = 0.01
    controller_entropy: float = 0.01
    reward: str = "accuracy"
    warm_rate: float = 1.0
    frozen_steps: int = 0
