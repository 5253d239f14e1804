"""Folders of small images, made up, for tests."""

import numpy as np
from PIL import Image


def image(seed, height=6, width=8, channels=3):
    """Random pixels uint8 [height, width, channels], or [height, width] of one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write(path, pixels, **options):
    """An image file, in a folder that is made if it is not there; lossless unless options say otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".webp":
        options = {"lossless": True, **options}
    Image.fromarray(pixels).save(path, **options)
    return path


def fill(root, *names, **size):
    """Image files of these names below a folder, each with pixels of its own: {name: pixels}."""
    made = {name: image(seed, **size) for seed, name in enumerate(names)}
    for name, pixels in made.items():
        write(root / name, pixels)
    return made
