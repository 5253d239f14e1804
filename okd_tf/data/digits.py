"""The 1,797 real 8x8 handwritten digits that ship inside scikit-learn: a dataset with nothing to download.

Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), its test part.
"""

import numpy as np

from okd_tf.data import examples, splits, views
from okd_tf.sources.request import Request

TEST_EXAMPLES = 360


def load(asked: Request) -> examples.Source:
    """The digits, whose images come with a package.

    The collection has no test part of its own: the same 360 examples, whatever the run's seed, are set
    aside as one.
    """
    del asked
    # Here and not above: scikit-learn takes a second to import, which other datasets need not pay.
    from sklearn import datasets as sklearn_datasets

    bunch = sklearn_datasets.load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    everything = examples.Examples(np.arange(len(images)), images, bunch.target.astype(np.int32))
    order = splits.order(everything.ids, seed=0, purpose="digits test part")
    return examples.Source(
        name="digits",
        class_names=tuple(str(digit) for digit in range(10)),
        train=everything.take(order[TEST_EXAMPLES:]),
        test=everything.take(order[:TEST_EXAMPLES]),
        augmentation=views.usual(images.shape[1:], flip=False),
    )
