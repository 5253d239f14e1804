"""Architecture search: a supernet that shares weights, strategies that learn what to keep of it, and derive.

A strategy is one class over `base.SearchModel` in one file and one line below.
"""

from okd_tf.search import darts, gumbel, random_search

STRATEGIES = {
    "darts": darts.DartsSearch,
    "gumbel": gumbel.GumbelSearch,
    "random": random_search.RandomSearch,
}
