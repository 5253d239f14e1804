"""A prepared TFDS folder that is damaged is refused in one line with what, where and what to do."""

import os
import pathlib
import shutil
import struct

import numpy as np
import pytest

from okd_tf import data, errors, quiet

COUNTS = {"train": 30, "test": 20}


def _made(root, file_format):
    """A CIFAR-10 of few images, as TFDS prepares it."""
    import tensorflow_datasets as tfds

    generator = np.random.default_rng(0)
    with quiet.output_held_back():
        builder = tfds.builder("cifar10", data_dir=str(root), file_format=file_format)
        pathlib.Path(builder.data_dir).mkdir(parents=True)
        builder.info.features["label"].names = [f"class {index}" for index in range(10)]
        writer = tfds.core.SequentialWriter(builder.info, 1000, file_format=file_format)
        writer.initialize_splits(list(COUNTS))
        for part, count in COUNTS.items():
            writer.add_examples(
                {
                    part: [
                        {
                            "id": f"{part}_{index:05}",
                            "image": generator.integers(0, 256, (32, 32, 3), dtype=np.uint8),
                            "label": index % 10,
                        }
                        for index in range(count)
                    ]
                }
            )
        writer.close_all()
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return _made(tmp_path_factory.mktemp("tfds"), "tfrecord")


def _copied(prepared, root, changed):
    """The folder again, of links to what it had but for one file, which is a copy; gives that."""
    (folder,) = prepared.glob("cifar10*/*")
    there = root / folder.relative_to(prepared)
    there.mkdir(parents=True)
    for file in folder.iterdir():
        (there / file.name).symlink_to(file)
    (changed,) = there.glob(changed)
    original = changed.resolve()
    changed.unlink()
    shutil.copyfile(original, changed)
    changed.chmod(0o600)
    return changed


def _cut(path):
    os.truncate(path, path.stat().st_size // 2 - 5)


def _cut_between_records(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(content[: 8 + 4 + length + 4])


def _empty(path):
    os.truncate(path, 0)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _remove(path):
    path.unlink()


def _refusal(name, root):
    with pytest.raises(errors.UserError) as refusal:
        data.load(name, str(root))
    message = str(refusal.value)
    assert message.startswith("--data_dir: ")
    assert len(message.splitlines()) == 1
    assert "{{" not in message
    assert "prepare" in message
    return message


def test_what_is_whole_is_read(prepared):
    source = data.load("cifar10", str(prepared))
    assert (len(source.train), len(source.test)) == (30, 20)
    assert source.class_names[:2] == ("class 0", "class 1")


@pytest.mark.parametrize("part", COUNTS)
@pytest.mark.parametrize("damage", [_cut, _cut_between_records, _empty, _flip, _remove])
def test_a_damaged_shard_is_refused_with_dataset_split_and_file(prepared, tmp_path, part, damage):
    path = _copied(prepared, tmp_path, f"cifar10-{part}.tfrecord*")
    damage(path)
    message = _refusal("cifar10", tmp_path)
    assert f"'{part}' of 'cifar10' in {path.parent} cannot be read" in message
    # Where whole records are gone, no file shows it by itself.
    assert (str(path) in message) == (damage is not _cut_between_records)


@pytest.mark.parametrize("content", [b"", b"[", b"\xff"])
@pytest.mark.parametrize("name", ["dataset_info.json", "label.labels.txt"])
def test_a_damaged_description_is_refused_with_its_folder(prepared, tmp_path, name, content):
    path = _copied(prepared, tmp_path, name)
    path.write_bytes(content)
    message = _refusal("cifar10", tmp_path)
    assert str(path.parent) in message or "'cifar10' in " in message
    assert str(tmp_path) in message


def test_a_folder_of_another_format_is_refused_with_dataset_folder_and_format(prepared, tmp_path):
    description = _copied(prepared, tmp_path, "dataset_info.json")
    description.write_text(description.read_text().replace('"tfrecord"', '"riegeli"'))
    message = _refusal("cifar10", tmp_path)
    assert f"'cifar10' in {description.parent} is of riegeli files, not tfrecord or array_record" in message


@pytest.mark.slow
def test_a_cut_shard_of_the_real_cifar100_is_refused_with_dataset_split_and_file(tmp_path, prepared_data):
    folder = next(prepared_data("cifar100").glob("*"))
    there = tmp_path / "cifar100" / folder.name
    there.mkdir(parents=True)
    for file in folder.iterdir():
        (there / file.name).symlink_to(file)
    (path,) = there.glob("cifar100-test.tfrecord*")
    original = path.resolve()
    path.unlink()
    shutil.copyfile(original, path)
    path.chmod(0o600)
    _cut(path)
    message = _refusal("cifar100", tmp_path)
    assert f"'test' of 'cifar100' in {there} cannot be read ({path}: truncated record" in message
