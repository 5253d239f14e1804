"""What is refused before TensorFlow is imported."""

import json
import subprocess
import sys

import archives
import numpy as np
import photos
import pytest

from okd_tf import data, errors, sources
from okd_tf.sources import request

BAD = {
    "an unknown kind": ("photos", {}),
    "arrays of Python": ("arrays", {}),
    "something after a colon": ("digits:8x8", {}),
    "a field of others": ("digits", {"label_key": "kind"}),
    "no folder named": ("folder", {}),
    "a folder without classes": ("folder", {"data_dir": "{root}"}),
    "a class without images": ("folder", {"data_dir": "{root}/photos"}),
    "a dataset that is nowhere": ("tfds:nowhere", {"data_dir": "{root}"}),
    "a dataset without a name": ("tfds:", {}),
    "a dataset that is not prepared": ("cifar100", {"data_dir": "{root}"}),
    "a folder that TFDS takes for a pattern": ("cifar100", {"data_dir": "{root}/a[v1]"}),
    "no file": ("npz:{root}/none.npz", {}),
    "a file of nothing": ("npz:{root}/nothing.npz", {}),
    "a file of other arrays": ("npz:{root}/others.npz", {}),
    "images of floats": ("npz:{root}/floats.npz", {}),
    "labels of vectors": ("npz:{root}/vectors.npz", {}),
    "objects": ("npz:{root}/objects.npz", {}),
    "images under another key": ("npz:{root}/floats.npz", {"image_key": "pixels"}),
    "no archive named": ("tiny_imagenet", {"cache_dir": "{root}"}),
    "no archive": ("tiny_imagenet", {"cache_dir": "{root}", "tiny_imagenet_zip": "{root}/none.zip"}),
    "a folder for an archive": ("tiny_imagenet", {"cache_dir": "{root}", "tiny_imagenet_zip": "{root}"}),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    photos.fill(root / "photos", "a/1.png", "b/1.png")
    (root / "photos" / "empty").mkdir()
    (root / "nothing.npz").write_bytes(b"nothing")
    images, labels = np.zeros((3, 4, 4, 1), np.uint8), np.arange(3)
    np.savez(root / "others.npz", other=images)
    np.savez(root / "floats.npz", x_train=images / 255, y_train=labels)
    np.savez(root / "vectors.npz", x_train=images, y_train=np.eye(3))
    np.savez(root / "objects.npz", x_train=images, y_train=np.array([{}] * 3))
    return root


def _asked(root, name):
    dataset, more = BAD[name]
    filled = {key: value.format(root=root) for key, value in more.items()}
    return request.Request(dataset.format(root=root), **filled)


@pytest.mark.parametrize("name", BAD)
def test_what_is_seen_without_reading_images_is_refused_as_by_who_reads_them(name, root):
    asked = _asked(root, name)
    messages = []
    for refuse in (sources.look, data.read):
        with pytest.raises(errors.UserError) as refusal:
            refuse(asked)
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]


def test_nothing_that_looks_imports_tensorflow(root, tmp_path):
    photos.fill(tmp_path / "fine", "a/1.png", "b/1.png")
    fine = archives.write(tmp_path / "fine.zip", archives.members(train=(7,)))
    looked_at = [
        *(BAD[name] for name in BAD),
        ("digits", {}),
        ("folder", {"data_dir": str(tmp_path / "fine")}),
        ("tiny_imagenet", {"cache_dir": "{root}", "tiny_imagenet_zip": str(fine)}),
        ("cifar100", {"data_dir": "{root}", "download": True}),
    ]
    script = """
import json, sys
from okd_tf import errors, settings, sources
for name, more in json.load(sys.stdin):
    try:
        sources.look(sources.Request(name, **more))
        print(name)
    except errors.UserError:
        pass
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    requests = json.dumps(looked_at).replace("{root}", str(root))
    done = subprocess.run(
        [sys.executable, "-c", script], input=requests, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["digits", "folder", "tiny_imagenet", "cifar100", "[]"]
