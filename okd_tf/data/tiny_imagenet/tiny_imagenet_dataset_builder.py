"""The TFDS builder of TinyImageNet, from its archive."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from okd_tf import errors, progress
from okd_tf.sources import archive, damage, tiny_imagenet

SHAPE = (64, 64, 3)


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Of which archive.

    Attributes:
        path: where it lies; "" is downloaded.
        called: what it is called in errors.
    """

    path: str = ""
    called: str = ""


class Builder(tfds.core.GeneratorBasedBuilder):
    """TinyImageNet: train are its training images, test its labelled validation images."""

    VERSION = tfds.core.Version(tiny_imagenet.VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": tf.int64,
                    "image": tfds.features.Image(shape=SHAPE, encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(num_classes=archive.CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterable]:
        path = pathlib.Path(self.builder_config.path or _downloaded(dl_manager))
        called = self.builder_config.called or f"--download: {path}"
        with archive.opened(path, called) as opened:
            contents = opened.contents()
        self.info.features["label"].names = list(contents.class_names)
        per_class = {
            part: Counter(image.label for image in images)
            for part, images in (("train", contents.train), ("test", contents.test))
        }
        counts = {part: [min(found.values()), max(found.values())] for part, found in per_class.items()}
        original = {"train": [archive.TRAIN_PER_CLASS] * 2, "test": [archive.TEST_PER_CLASS] * 2}
        self.info.metadata.update(
            {
                "wnids": list(contents.wnids),
                "images_per_class": counts,
                "complete": counts == original,
            }
        )
        total = len(contents.train) + len(contents.test)
        count = progress.Count(f"data: {tiny_imagenet.NAME}", total, "images prepared")
        return {
            "train": self._generate_examples(path, called, contents.train, count),
            "test": self._generate_examples(path, called, contents.test, count),
        }

    def _generate_examples(
        self, path: pathlib.Path, called: str, images: tuple[archive.Image, ...], count: progress.Count
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        with archive.opened(path, called) as opened:
            for image in images:
                content = opened.read(image.member)
                try:
                    shape = tf.io.decode_jpeg(content, channels=3).shape
                except tf.errors.OpError as error:
                    raise opened.damaged(image.member, damage.reason(error)) from None
                if shape != SHAPE:
                    raise opened.damaged(image.member, f"{shape[0]}x{shape[1]} pixels and not 64x64")
                # The bytes as they are: what is grey becomes three channels where it is read.
                yield image.id, {"id": image.id, "image": content, "label": image.label}
                count.add()


def _downloaded(dl_manager: tfds.download.DownloadManager) -> str:
    try:
        return dl_manager.download(archive.URL)
    except Exception as error:  # the network, the disk and TFDS each raise their own
        raise errors.UserError(
            f"--download: {archive.URL} could not be fetched ({damage.reason(error)}); see to the "
            "network, or give the archive as --tiny_imagenet_zip"
        ) from None
