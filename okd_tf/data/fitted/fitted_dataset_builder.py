"""The TFDS builder of images of one size; what they are made of is told by its configuration."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow_datasets as tfds

# (id, pixels uint8 [height, width, channels], label)
Examples = Iterator[tuple[int, np.ndarray, int]]


@dataclasses.dataclass(eq=False)
class FittedConfig(tfds.core.BuilderConfig):
    """What a dataset is made of; `name` must tell it from any other.

    Attributes:
        image_shape: (height, width, channels) of all images.
        class_names: in the order of labels.
        parts: by the names of the splits, what gives their examples.
    """

    image_shape: tuple[int, int, int] = (0, 0, 0)
    class_names: tuple[str, ...] = ()
    parts: dict[str, Callable[[], Examples]] = dataclasses.field(default_factory=dict)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Images as PNG files, which lose nothing, under the ids that they are given."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": np.int64,
                    "image": tfds.features.Image(
                        shape=self.builder_config.image_shape, encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=list(self.builder_config.class_names)),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):  # type: ignore[no-untyped-def]
        del dl_manager
        return {name: self._generate_examples(name) for name in self.builder_config.parts}

    def _generate_examples(self, name):  # type: ignore[no-untyped-def]
        for example_id, pixels, label in self.builder_config.parts[name]():
            yield example_id, {"id": example_id, "image": pixels, "label": label}
