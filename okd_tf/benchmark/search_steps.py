"""The search step of the benchmark: weights and alphas learn; with its FLOPs."""

from okd_tf.arch import space, spec
from okd_tf.benchmark import workload
from okd_tf.benchmark.workload import Workload
from okd_tf.search import loop, options
from okd_tf.training import objective


def make(given: Workload, strategy: str, unrolled: bool):
    """Return the model, its batches, and the FLOPs of a step per training image."""
    backbone = given.backbone()
    search_space = space.SearchSpace.around(backbone, given.setup.ops)
    batches = given.training_batches(with_logits=True)
    model = loop.make_model(
        backbone,
        search_space,
        spec.Budget(),
        strategy,
        objective.Objective("oracle"),
        given.recipe,
        options.SearchOptions(
            weight_decay=5e-4,
            alpha_learning_rate=0.0,  # so that it samples from what it starts with all along
            steps=1_000_000,
            warmup_steps=0,
            sharpness=1.0,
            budget_weight=1.0,
            seed=0,
            unrolled=unrolled,
            compute=given.setup.precision,
        ),
        workload.EPOCHS,
        batches,
    )
    if model.bilevel:
        batches = loop.Bilevel(batches, given.validation_batches())
    return model, batches, _flops(model, search_space, strategy, unrolled)


def _flops(model, search_space, strategy, unrolled):
    """Return the FLOPs of a step per training image: of the weight step and of the alpha step, if any."""
    base = search_space.base.flops
    every = sum(op.flops for costs in search_space.op_costs for op in costs)
    sampled = model.expectation().flops - base
    of_weights = 3.0 * (base + (every if strategy == "darts" else sampled))
    if not model.bilevel:
        return of_weights
    # Nothing is computed for the weights. Gumbel runs one operation in every layer, dead ones included.
    of_alphas = 2.0 * (base + (every if strategy == "darts" else every / len(search_space.ops)))
    if unrolled:  # gradients of the weights on both batches, and of the alphas at two sides
        of_alphas = (3.0 + 3.0 + 2.0 + 2.0) * (base + every)
    return of_weights + of_alphas
