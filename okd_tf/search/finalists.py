"""Finalists of a search: half of them its own proposals, spread over parameters, half random architectures.

    [{"spec", "params", "flops", "val_accuracy", "val_loss", "random"}, ..]

in search/finalists.json: first the search's own, the chosen one before all others, then architectures drawn
uniformly from those within the budget. Accuracies and losses are of shared weights.
"""

from typing import Any

from okd_tf import errors, fields, files, seeds
from okd_tf.arch import spec, uniform
from okd_tf.search import candidates

NAME = "finalists.json"
MEND = "delete it, and the search stage runs again"

PROPOSED = 2  # times as many as are taken


def check(search_space, budget, count):
    """Raise UserError, naming --finals, unless `count` different architectures are within the budget."""
    there = len(_drawn(search_space, budget, count, 0))
    if there < count:
        raise errors.UserError(
            f"--finals: {count} finalists, and only {there} different architectures fit into the budget "
            f"(of {search_space.size():,} in the space); name fewer, raise --max_params, or give more --ops"
        )


def choose(model, chosen, budget, count, seed, rank):
    """Return the finalists of a search that has ended: two lists of specs, its own and the random ones.

    Args:
        model: the trained `SearchModel`.
        chosen: the spec that the search chose, which is always among its own.
        budget: the `Budget` that finalists fit.
        count: number of finalists; half of them, rounded up, are the search's own if it proposes as many.
        seed: seed of the search.
        rank: (architectures, whether they are random) -> their specs with figures of shared weights, best
            first.
    """
    wanted = count - count // 2
    proposed = rank(model.front(PROPOSED * wanted, seed), False)
    own = [chosen, *spread([item for item in proposed if item.add_ons != chosen.add_ons], wanted - 1)]
    taken = {item.add_ons for item in own}
    drawn = [
        architecture
        for architecture in _drawn(model.space, budget, count, seed)
        if model.space.add_ons(architecture) not in taken
    ]
    return own, rank(drawn[: count - len(own)], True)


def spread(ranked, count):
    """Return `count` of the ranked specs, spread over parameters: the best of each of `count` equal ranges.

    A range without specs leaves its place to the best of the others. The order is that of `ranked`, best
    first.
    """
    if not ranked or not count:
        return []
    least, most = (bound(item.cost.params for item in ranked) for bound in (min, max))
    width = max(1, most - least + 1)
    best = {}
    for item in ranked:
        best.setdefault((item.cost.params - least) * count // width, item)
    of_ranges = list(best.values())
    others = [item for item in ranked if not any(item is one for one in of_ranges)]
    taken = [*of_ranges, *others[: count - len(of_ranges)]]
    return [item for item in ranked if any(item is one for one in taken)]


def document(own, drawn):
    """Return the content of finalists.json, given the search's own and the random specs from `choose`."""
    return [
        {**candidates.entry(item), "random": is_random}
        for specs, is_random in ((own, False), (drawn, True))
        for item in specs
    ]


def read(path: files.PathLike) -> list[dict[str, Any]]:
    """Return the content of a finalists.json, with each "spec" as an `ArchSpec`.

    Raises:
        UserError: the file has another form; names the file and the field.
    """
    found = []
    for entry in fields.read(path, mend=MEND).items():
        entry["params"].whole(), entry["flops"].whole(), entry["val_accuracy"].share()
        entry["val_loss"].number(), entry["random"].flag()
        found.append({**entry.value, "spec": spec.ArchSpec.from_json(entry["spec"].value, str(path))})
    return found


def _drawn(search_space, budget, count, seed):
    """Return up to `count` different random architectures within the budget."""
    sampler = uniform.UniformSampler(search_space, budget)
    return sampler.different(count, seeds.derive(seed, "random finalists"))
