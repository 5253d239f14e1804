"""Architecture search: a supernet with shared weights, strategies over it, derivation of one architecture.

A strategy is one class over `base.SearchModel` in one file and one line below.
"""

from okd_tf.search import darts, gumbel, random_search, reinforce

STRATEGIES = {
    "darts": darts.DartsSearch,
    "gumbel": gumbel.GumbelSearch,
    "reinforce": reinforce.ReinforceSearch,
    "random": random_search.RandomSearch,
}
