"""The settings of a search that are not the training recipe's."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        weight_decay: L2 factor of the shared weights.
        alpha_learning_rate: Adam's rate for the alphas.
        warmup_steps: steps in which only the weights learn, not the alphas.
        budget_weight: factor of the differentiable budget term.
        seed: of what the strategy samples.
    """

    weight_decay: float
    alpha_learning_rate: float
    warmup_steps: int
    budget_weight: float
    seed: int
