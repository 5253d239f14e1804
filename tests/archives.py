"""Archives as that of TinyImageNet, made up of few images."""

import io
import zipfile

from PIL import Image

ROOT = "tiny-imagenet-200"
WNIDS = [f"n{number:08}" for number in range(7, 7 + 200)]


def jpeg(colour, size=64, mode="RGB"):
    """An image of one colour."""
    content = io.BytesIO()
    Image.new(mode, (size, size), colour).save(content, "JPEG")
    return content.getvalue()


def members(train=(0, 7), val_per_class=1):
    """What is in a made-up archive, by name: training images of these numbers in each class."""
    made = {
        "wnids.txt": "\n".join(reversed(WNIDS)),
        # Two classes of one name, and words of classes that are not there.
        "words.txt": "n00000001\tentity\n"
        + "".join(f"{wnid}\tthing {max(index, 1)}, other\n" for index, wnid in enumerate(WNIDS)),
    }
    annotations = []
    for label, wnid in enumerate(WNIDS):
        for number in train:
            colour = label if label % 3 == 0 else (label, number, 250)
            mode = "L" if label % 3 == 0 else "RGB"
            made[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = jpeg(colour, mode=mode)
        made[f"train/{wnid}/{wnid}_boxes.txt"] = "no image"
        for number in range(val_per_class):
            name = f"val_{(number * 200 + label * 7) % 10_000}.JPEG"
            made[f"val/images/{name}"] = jpeg((label, 200, number))
            annotations.append(f"{name}\t{wnid}\t0\t0\t63\t63")
    made["val/val_annotations.txt"] = "\n".join(annotations)
    made["test/images/test_0.JPEG"] = b"not looked at"
    return made


def write(path, members):
    """The archive of these members."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{ROOT}/{name}", content)
    return path
