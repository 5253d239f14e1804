"""What an archive of TinyImageNet has: made-up ones, and the real one where it is at hand."""

import pathlib

import archives
import pytest

from okd_tf import errors
from okd_tf.sources import archive

REAL = pathlib.Path(__file__).parents[3] / "shared" / "tiny_imagenet" / "tiny-imagenet-200.zip"
WNIDS = archives.WNIDS
FIRST = f"train/{WNIDS[0]}/images/{WNIDS[0]}"


def _without(name):
    return lambda members: {key: value for key, value in members.items() if key != name}


def _with(name, content):
    return lambda members: {**members, name: content}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_without("wnids.txt"), "has no wnids.txt, as TinyImageNet has"),
        (_with("wnids.txt", "n1\nn2"), "wnids.txt names 2 classes, and TinyImageNet has 200"),
        (_without("words.txt"), "has no words.txt"),
        (_with("words.txt", "n1\tone"), f"words.txt has no words for {WNIDS[0]}"),
        (_with("words.txt", b"\xff"), "words.txt is damaged (no text)"),
        (_without("val/val_annotations.txt"), "has no val/val_annotations.txt"),
        (_with("val/val_annotations.txt", "val_0.JPEG\tn1"), "gives val_0.JPEG the class 'n1'"),
        (_with("val/images/val_9999.JPEG", b""), "val_annotations.txt does not say its class"),
        (_with("val/images/other.JPEG", b""), "no name of a validation image"),
        (_with(f"train/{WNIDS[0]}/images/{WNIDS[1]}_3.JPEG", b""), "no name of a training image"),
        (_with("train/n1/images/n1_3.JPEG", b""), "its class is not in wnids.txt"),
        (_with(f"{FIRST}_007.JPEG", b""), "are one image twice"),
        (
            lambda members: {name: one for name, one in members.items() if not name.startswith(FIRST)},
            f"has no training image of 1 of 200 classes (first: {WNIDS[0]})",
        ),
    ],
)
def test_an_archive_of_something_else_is_one_line(change, what, tmp_path):
    path = archives.write(tmp_path / "a.zip", change(archives.members()))
    with (
        archive.opened(path, f"--tiny_imagenet_zip: {path}") as opened,
        pytest.raises(errors.UserError) as refusal,
    ):
        opened.contents()
    message = str(refusal.value)
    assert message.startswith(f"--tiny_imagenet_zip: {path}: ")
    assert what in message
    assert "\n" not in message
    assert len(message) < 400


def test_the_real_archive_has_its_classes_and_images():
    if not REAL.is_file():
        pytest.skip("no tiny-imagenet-200.zip in ../shared/tiny_imagenet beside the repository")
    with archive.opened(REAL, str(REAL)) as opened:
        contents = opened.contents()
    assert len(set(contents.class_names)) == 200
    assert contents.class_names[:2] == ("goldfish", "European fire salamander")
    assert contents.wnids[0] == "n01443537"
    for images in (contents.train, contents.test):
        assert {image.label for image in images} == set(range(200))
        assert len({image.id for image in images}) == len(images)
    for image in contents.train:
        assert image.member.endswith(f"/{contents.wnids[image.label]}_{image.id % 1000}.JPEG")
    assert all(image.member.endswith(f"/val_{image.id}.JPEG") for image in contents.test)
