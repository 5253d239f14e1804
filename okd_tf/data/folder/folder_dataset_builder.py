"""The TFDS builder of a folder of images."""

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from okd_tf import progress
from okd_tf.data import folder, pixels, sizes
from okd_tf.data.folder import checking
from okd_tf.sources import listing


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which files, and what they become.

    Attributes:
        checked: the files whose headers can be read.
        resize: how images come to the size.
    """

    checked: checking.Checked | None = dataclasses.field(default=None, repr=False)
    resize: str = "crop"


class Builder(tfds.core.GeneratorBasedBuilder):
    """A folder of images: "train", and "val" and "test" where there are such; images are kept as PNG."""

    VERSION = tfds.core.Version(folder.VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        checked = self.builder_config.checked
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": tf.int64,
                    "image": tfds.features.Image(
                        shape=(*checked.size, checked.channels), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=list(checked.class_names)),
                }
            ),
            supervised_keys=("image", "label"),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterable]:
        del dl_manager
        checked = self.builder_config.checked
        total = sum(map(len, checked.files.values()))
        count = progress.Count(f"data: {folder.NAME}", total, "images prepared")
        return {split: self._generate_examples(split, count) for split in checked.files}

    def _generate_examples(self, split: str, count: progress.Count) -> Iterator[tuple[int, dict[str, Any]]]:
        checked = self.builder_config.checked
        missing = {file.label for file, _ in checked.files[split]}
        for (file, _), made in _in_order(self._png, checked.files[split]):
            try:
                content = made.result()
            except pixels.UnreadableError as error:
                checked.unreadable.add(file, str(error))
                continue
            finally:
                count.add()
            missing.discard(file.label)
            yield file.id, {"id": file.id, "image": content, "label": file.label}
        checked.refuse_empty(split, missing)
        self.info.metadata["unreadable"] = len(checked.unreadable)
        if checked.unreadable:
            checked.unreadable.write()

    def _png(self, given: tuple[listing.File, pixels.Header]) -> bytes:
        file, header = given
        checked = self.builder_config.checked
        image = pixels.decode(file.path, header, checked.channels, checked.bits)
        return tf.io.encode_png(sizes.fit(image, checked.size, self.builder_config.resize)).numpy()


def _in_order(
    do: Callable[[Any], Any], items: Iterable[Any]
) -> Iterator[tuple[Any, concurrent.futures.Future]]:
    """Each item and what is done with it by some threads, in the order of items; little is done ahead."""
    threads = os.cpu_count() or 1
    waiting: collections.deque[tuple[Any, concurrent.futures.Future]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(do, item)))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(cancel_futures=True)
