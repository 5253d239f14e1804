"""TinyImageNet (Stanford CS231n): 200 classes of ImageNet at 64x64, from its archive or a cut of that.

Its labelled validation images are the test split, since its test images have no labels.
"""

from typing import Any

from okd_tf import progress
from okd_tf.data import examples, once, tfds_sets
from okd_tf.sources import archive, tiny_imagenet
from okd_tf.sources.request import Request


def load(asked: Request) -> examples.Source:
    """The images as a source; see `builder`."""
    return tfds_sets.of(builder(asked), asked, tiny_imagenet.NAME)


def builder(asked: Request) -> Any:
    """Prepares TinyImageNet, or finds it prepared; splits "train" and "test".

    Its `info.metadata` has "images_per_class" ({split: [fewest, most]}), "complete" (whether these are the
    original's) and "wnids".

    Raises:
        UserError: there is nothing to prepare it from, or what there is is damaged.
    """
    name, path = tiny_imagenet.config(asked), asked.tiny_imagenet_zip

    def make(data_dir: str) -> Any:
        # Here and not above: what TFDS takes to import is spared where all is prepared.
        from okd_tf.data.tiny_imagenet import tiny_imagenet_dataset_builder as definition

        return definition.Builder(
            config=definition.Config(name=name, path=path, called=tiny_imagenet.called(asked)),
            data_dir=data_dir,
            file_format="array_record",
        )

    downloads = None if path else asked.cache / "downloads"
    found = once.prepared(asked, tiny_imagenet.folder(name), make, downloads)
    progress.say(f"data: {tiny_imagenet.NAME}: {_described(found)}")
    return found


def _described(found: Any) -> str:
    """How many images there are, and whether that is all."""
    sizes = {part: found.info.splits[part].num_examples for part in ("train", "test")}
    least, most = zip(*(found.info.metadata["images_per_class"][part] for part in sizes), strict=True)
    each = [f"{low}" if low == high else f"{low} to {high}" for low, high in zip(least, most, strict=True)]
    told = f"{sizes['train']:,} training and {sizes['test']:,} test images, "
    told += f"{each[0]} and {each[1]} of each class"
    if found.info.metadata["complete"]:
        return told
    return f"{told}; a cut: the original has {archive.TRAIN_PER_CLASS} and {archive.TEST_PER_CLASS}"
