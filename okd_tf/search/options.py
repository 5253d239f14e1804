"""The settings of a search that are not the training recipe's."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        weight_decay: L2 factor of the shared weights.
        alpha_learning_rate: Adam's rate for the alphas.
        steps: length of the search.
        warmup_steps: steps in which only the weights learn, not the alphas.
        sharpness: factor that the alphas are multiplied by at the end of the search; 1 is plain DARTS.
        budget_weight: factor of the differentiable budget term.
        seed: of what the strategy samples.
    """

    weight_decay: float
    alpha_learning_rate: float
    steps: int
    warmup_steps: int
    sharpness: float
    budget_weight: float
    seed: int
