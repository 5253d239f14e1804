"""Architecture search: a supernet that shares weights, strategies that learn what to keep of it, and derive.

A strategy is one class over `base.SearchModel` in one file and one line below.
"""

from okd_tf.search import darts, gumbel, random_search, reinforce

STRATEGIES = {
    "darts": darts.DartsSearch,
    "gumbel": gumbel.GumbelSearch,
    "reinforce": reinforce.ReinforceSearch,
    "random": random_search.RandomSearch,
}
