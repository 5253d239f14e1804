"""Images brought to one size and kept so: a TFDS dataset made of other images, once."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from okd_tf import progress
from okd_tf.data import once
from okd_tf.sources.request import Request

Part = Callable[[], Iterator[tuple[int, np.ndarray, int]]]


def builder(
    asked: Request,
    key: str,
    image_shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    parts: dict[str, Part],
    counts: dict[str, int],
) -> Any:
    """The prepared dataset of some images; they are asked for only if it is not there yet.

    Args:
        asked: says where it is kept, and what it is called on screen.
        key: tells it from any other; a name for a folder.
        image_shape: (height, width, channels) of all images.
        class_names: in the order of labels.
        parts: by the names of the splits, what gives (id, pixels uint8, label) of their examples.
        counts: how many these are.

    Raises:
        UserError: the file system refuses, or what giving an example raises.
    """

    def make(data_dir: str) -> Any:
        from okd_tf.data.fitted import fitted_dataset_builder

        count = progress.Count(f"data: {asked.name}", sum(counts.values()), "images prepared")

        def counted(part: Part) -> Part:
            def each() -> Iterator[tuple[int, np.ndarray, int]]:
                for example in part():
                    yield example
                    count.add()

            return each

        config = fitted_dataset_builder.FittedConfig(
            name=key,
            version="1.0.0",
            image_shape=image_shape,
            class_names=class_names,
            parts={name: counted(part) for name, part in parts.items()},
        )
        return fitted_dataset_builder.Builder(config=config, data_dir=data_dir, file_format="array_record")

    return once.prepared(asked, f"fitted/{key}/1.0.0", make)
