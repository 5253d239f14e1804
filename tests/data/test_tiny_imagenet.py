"""TinyImageNet from archives: made-up ones of few images, and the real one where it is at hand."""

import pathlib

import archives
import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors, files, sources
from okd_tf.data import tiny_imagenet
from okd_tf.sources import archive, request

REAL = pathlib.Path(__file__).parents[3] / "shared" / "tiny_imagenet" / "tiny-imagenet-200.zip"
ROOT, WNIDS = archives.ROOT, archives.WNIDS


@pytest.fixture(scope="module")
def members():
    return archives.members()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, members):
    """What was asked, the archive's path and the builder."""
    folder = tmp_path_factory.mktemp("tiny")
    path = archives.write(folder / "cut.zip", members)
    return path, folder / "cache", tiny_imagenet.builder(_asked(folder / "cache", path))


def _asked(cache, path="", **more):
    return request.Request("tiny_imagenet", cache_dir=str(cache), tiny_imagenet_zip=str(path), **more)


def _read(builder, split):
    """{id: (bytes of the image, label)} of a split."""
    import tensorflow_datasets as tfds

    source = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    return {int(one["id"]): (one["image"], int(one["label"])) for one in source}


def _left(folder):
    return [entry.name for entry in folder.iterdir() if entry.suffix != ".lock"]


def _refusal(work):
    with pytest.raises(errors.UserError) as refusal:
        work()
    message = str(refusal.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_ids_labels_and_bytes_are_those_of_the_archive(prepared, members):
    _, _, builder = prepared
    assert builder.info.file_format.value == "array_record"
    train = _read(builder, "train")
    assert sorted(train) == sorted(label * 1000 + number for label in range(200) for number in (0, 7))
    for id_, (content, label) in train.items():
        assert label == id_ // 1000
        wnid = WNIDS[label]
        assert content == members[f"train/{wnid}/images/{wnid}_{id_ % 1000}.JPEG"]
    test = _read(builder, "test")
    assert len(test) == 200
    for id_, (content, label) in test.items():
        assert content == members[f"val/images/val_{id_}.JPEG"]
        assert f"val_{id_}.JPEG\t{WNIDS[label]}\t" in members["val/val_annotations.txt"]


def test_pixels_are_those_of_tensorflow_and_grey_has_three_channels(prepared):
    _, _, builder = prepared
    feature = builder.info.features["image"]
    train = _read(builder, "train")
    for id_ in (0, 1000):  # grey, and not
        expected = tf.io.decode_jpeg(train[id_][0], channels=3)
        assert expected.shape == (64, 64, 3)
        np.testing.assert_array_equal(feature.decode_example(train[id_][0]), expected)


def test_classes_are_in_the_order_of_their_wnids_and_have_names_of_their_own(prepared):
    _, _, builder = prepared
    names = builder.info.features["label"].names
    assert names[:3] == [f"thing 1 ({WNIDS[0]})", f"thing 1 ({WNIDS[1]})", "thing 2"]
    assert len(set(names)) == 200
    assert list(builder.info.metadata["wnids"]) == WNIDS


def test_a_cut_is_called_one_and_used_again_without_its_archive_or_another_hash(
    prepared, tmp_path, capsys, monkeypatch
):
    path, cache, builder = prepared
    assert builder.info.metadata["images_per_class"] == {"train": [2, 2], "test": [1, 1]}
    assert builder.info.metadata["complete"] is False
    monkeypatch.setattr(files, "sha256", None)
    monkeypatch.setattr(archive, "opened", None)
    sources.look(_asked(cache, path))
    assert tiny_imagenet.builder(_asked(cache, path)).data_dir == builder.data_dir
    assert "400 training and 200 test images, 2 and 1 of each class; a cut" in capsys.readouterr().out
    moved = path.rename(tmp_path / "elsewhere.zip")
    try:
        assert tiny_imagenet.builder(_asked(cache, path)).data_dir == builder.data_dir
    finally:
        moved.rename(path)


def test_another_cut_has_the_same_ids_and_a_folder_of_its_own(prepared, tmp_path):
    _, cache, builder = prepared
    path = archives.write(tmp_path / "cut.zip", archives.members(train=(7,)))
    other = tiny_imagenet.builder(_asked(cache, path))
    assert other.data_dir != builder.data_dir
    train, fewer = _read(builder, "train"), _read(other, "train")
    assert len(fewer) == 200
    assert fewer.items() <= train.items()


def test_without_an_archive_only_the_original_is_used(prepared, monkeypatch):
    path, cache, builder = prepared
    message = _refusal(lambda: tiny_imagenet.builder(_asked(cache)))
    assert message.startswith("--tiny_imagenet_zip: no complete TinyImageNet is prepared in ")
    assert "--download" in message
    monkeypatch.setattr(archive, "SHA256", files.sha256(path))
    original = tiny_imagenet.builder(_asked(cache, path))
    assert pathlib.Path(original.data_dir).parent.name == "full"
    assert tiny_imagenet.builder(_asked(cache)).data_dir == original.data_dir != builder.data_dir


def test_a_download_is_prepared_and_a_failing_one_is_one_line(prepared, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fails(manager, url):
        raise ConnectionError(f"no way to {url}\nand more")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", fails)
    message = _refusal(lambda: tiny_imagenet.builder(_asked(tmp_path, download=True)))
    assert message.startswith(f"--download: {archive.URL} could not be fetched (no way to {archive.URL});")
    assert _left(tmp_path / "tiny_imagenet" / "full") == []
    path, _, _ = prepared
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda manager, url: str(path))
    found = tiny_imagenet.builder(_asked(tmp_path, download=True))
    assert found.data_dir == str(tmp_path / "tiny_imagenet" / "full" / "1.0.0")


def test_what_is_downloaded_is_checked_against_the_published_sum():
    from okd_tf.data.tiny_imagenet import tiny_imagenet_dataset_builder as definition

    (info,) = definition.Builder.url_infos.values()
    assert list(definition.Builder.url_infos) == [archive.URL]
    assert (info.size, info.checksum) == (248_100_043, archive.SHA256)


def test_a_path_of_no_archive_is_one_line(tmp_path):
    for path, why in ((tmp_path / "none.zip", "no such file"), (tmp_path, "is not a file")):
        message = _refusal(lambda path=path: tiny_imagenet.builder(_asked(tmp_path / "cache", path)))
        assert message.startswith(f"--tiny_imagenet_zip: {path}: {why}; ")


FIRST = f"train/{WNIDS[0]}/images/{WNIDS[0]}"


def _cut(path):
    path.write_bytes(path.read_bytes()[:-500])


def _flip(path):
    content = path.read_bytes()
    start = content.index(b"\xff\xd8\xff")
    path.write_bytes(content[: start + 200] + bytes([content[start + 200] ^ 1]) + content[start + 201 :])


@pytest.mark.parametrize(
    ("change", "damage", "what"),
    [
        ({}, _cut, "is no zip file, or is cut short"),
        ({}, lambda path: path.write_bytes(b""), "is no zip file, or is cut short"),
        ({}, _flip, f"{ROOT}/{FIRST}_0.JPEG is damaged (Bad CRC-32"),
        ({f"{FIRST}_0.JPEG": b"\xff\xd8\xff nothing"}, None, f"{FIRST}_0.JPEG is damaged ("),
        (
            {f"{FIRST}_0.JPEG": archives.jpeg(0, size=65)},
            None,
            "is damaged (65x65 pixels and not 64x64)",
        ),
    ],
)
def test_a_damaged_archive_is_one_line_and_leaves_nothing(change, damage, what, members, tmp_path):
    path = archives.write(tmp_path / "a.zip", {**members, **change})
    if damage:
        damage(path)
    message = _refusal(lambda: tiny_imagenet.builder(_asked(tmp_path, path)))
    assert message.startswith(f"--tiny_imagenet_zip: {path}: ")
    assert what in message
    (config,) = tmp_path.glob("tiny_imagenet/zip_*")
    assert _left(config) == []
    if damage is not _flip and not change:
        # Though it is noted now.
        assert _refusal(lambda: sources.look(_asked(tmp_path, path))) == message


@pytest.fixture
def real():
    if not REAL.is_file():
        pytest.skip("no tiny-imagenet-200.zip in ../shared/tiny_imagenet beside the repository")
    return REAL


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_real_archive_is_prepared_to_the_pixel(real, tmp_path):
    builder = tiny_imagenet.builder(_asked(tmp_path, real))
    grey = 0
    with archive.opened(real, str(real)) as opened:
        contents = opened.contents()
        for split, images in (("train", contents.train), ("test", contents.test)):
            found = _read(builder, split)
            assert len(found) == len(images)
            for image in images:
                assert found[image.id] == (opened.read(image.member), image.label)
                grey += tf.io.decode_jpeg(found[image.id][0]).shape[-1] == 1
    assert grey > 0
