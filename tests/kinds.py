"""A small dataset of each kind whose data is the user's."""

import archives
import numpy as np
import photos

from okd_tf import data, quiet

CLASSES = ("cat", "dog", "owl")
SHAPE = (8, 8, 3)


def pixels(index, shape=SHAPE):
    """An image that no other index has: uint8 of this shape."""
    return np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8)


def prepare(root, name, splits, *, shapes=(SHAPE,), file_format="array_record", ids=True, more=None):
    """Prepares a dataset with TFDS below `root`.

    Args:
        splits: by name, how many examples; those of a split are numbered from 0, and those of the first split
            by name show `pixels` of their number, of the next of 1000 more, and so on.
        shapes: of the images, in turn.
        ids: whether examples have an "id" feature.
        more: further features, by name: (feature, values by the number of the example).

    Returns:
        What `--dataset` calls it.
    """
    import tensorflow_datasets as tfds

    height, width, channels = (
        sizes.pop() if len(sizes) == 1 else None for sizes in map(set, zip(*shapes, strict=True))
    )
    features = {
        "image": tfds.features.Image(shape=(height, width, channels)),
        "label": tfds.features.ClassLabel(names=CLASSES),
        **({"id": tfds.features.Text()} if ids else {}),
        **{key: feature for key, (feature, _) in (more or {}).items()},
    }

    def examples(split, count):
        offset = sorted(splits).index(split) * 1000
        for index in range(count):
            example = {
                "image": pixels(offset + index, shapes[index % len(shapes)]),
                "label": index % len(CLASSES),
                **({"id": f"{split}_{index:05}"} if ids else {}),
                **{key: value(index) for key, (_, value) in (more or {}).items()},
            }
            yield index, example

    with quiet.output_held_back():
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: list(examples(split, count)) for split, count in splits.items()},
            data_dir=str(root),
            file_format=file_format,
        )
    return f"tfds:{name}"


def _of_tfds(root):
    return data.load(prepare(root, "mine", {"train": 60, "test": 12}), str(root))


def _of_npz(root):
    images = np.stack([pixels(index) for index in range(72)])
    labels = np.arange(72) % len(CLASSES)
    np.savez(root / "mine", x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    return data.load(f"npz:{root / 'mine.npz'}")


def _of_tiny_imagenet(root):
    path = archives.write(root / "cut.zip", archives.members(train=range(10)))
    return data.load("tiny_imagenet", tiny_imagenet_zip=str(path), cache_dir=str(root / "cache"))


def _of_folder(root):
    names = [f"train/{CLASSES[index % 3]}/{index}.png" for index in range(60)]
    names += [f"test/{CLASSES[index % 3]}/{index}.png" for index in range(12)]
    photos.fill(root / "photos", *names)
    return data.load("folder", str(root / "photos"), cache_dir=str(root / "cache"))


# By the key of `data.DATASETS`.
KINDS = {"tfds": _of_tfds, "npz": _of_npz, "tiny_imagenet": _of_tiny_imagenet, "folder": _of_folder}
