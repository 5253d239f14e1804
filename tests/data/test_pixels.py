"""Pixels of image files, against what was put into them."""

import io
import zlib

import numpy as np
import photos
import pytest
import tensorflow as tf
from PIL import Image

from okd_tf.data import pixels


def _colours(rng, height=5, width=7, channels=3):
    return rng.integers(0, 256, (height, width, channels)).astype(np.uint8)


def _read(path, channels=3):
    return pixels.decode(str(path), pixels.header(str(path)), channels)


def _write(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("format_", "options"),
    [("JPEG", {}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("WEBP", {})],
)
def test_each_format_is_told_by_its_content_and_read_as_tensorflow_reads_it(format_, options, tmp_path, rng):
    path = _write(tmp_path / "named.wrongly", _colours(rng), format=format_, **options)
    expected = tf.io.decode_image(path.read_bytes(), expand_animations=False).numpy()
    np.testing.assert_array_equal(_read(path), expected)
    header = pixels.header(str(path))
    assert (header.size, header.channels) == ((5, 7), 3)


@pytest.mark.parametrize(("format_", "options"), [("GIF", {}), ("WEBP", {"lossless": True})])
def test_of_an_animation_the_first_frame_is_read(format_, options, tmp_path, rng):
    frames = [Image.fromarray(np.full((5, 7, 3), value, np.uint8)) for value in (10, 200)]
    path = _write(
        tmp_path / "a", frames[0], format=format_, save_all=True, append_images=frames[1:], **options
    )
    np.testing.assert_array_equal(_read(path), np.full((5, 7, 3), 10))


# Where a stored pixel is shown, of an image of 2x3 pixels as stored; by the words of EXIF: what the first row
# is and what the first column is.
_SHOWN = {
    1: lambda row, column: (row, column),  # top, left
    2: lambda row, column: (row, 2 - column),  # top, right
    3: lambda row, column: (1 - row, 2 - column),  # bottom, right
    4: lambda row, column: (1 - row, column),  # bottom, left
    5: lambda row, column: (column, row),  # left, top
    6: lambda row, column: (column, 1 - row),  # right, top
    7: lambda row, column: (2 - column, 1 - row),  # right, bottom
    8: lambda row, column: (2 - column, row),  # left, bottom
}


@pytest.mark.parametrize("orientation", _SHOWN)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_images_are_turned_as_exif_says(orientation, format_, tmp_path):
    # Blocks of 16x16, since a JPEG is not exact to the pixel.
    stored = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(stored, np.ones((16, 16), np.uint8))
    path = _write(tmp_path / "a", np.dstack([blocks] * 3), format=format_, exif=exif, quality=100)
    expected = np.empty((2, 3) if orientation < 5 else (3, 2), np.uint8)
    for (row, column), value in np.ndenumerate(stored):
        expected[_SHOWN[orientation](row, column)] = value
    shown = _read(path)
    assert pixels.header(str(path)).size == shown.shape[:2]
    np.testing.assert_allclose(shown[8::16, 8::16, 0], expected, atol=3)


def test_an_orientation_that_there_is_none_of_turns_nothing(tmp_path, rng):
    image = _colours(rng)
    for orientation in (0, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        np.testing.assert_array_equal(_read(_write(tmp_path / "a.png", image, exif=exif)), image)


def test_opacity_is_dropped_and_the_colours_below_it_stay(tmp_path, rng):
    image = _colours(rng, channels=4)
    np.testing.assert_array_equal(_read(_write(tmp_path / "a.png", image)), image[..., :3])
    grey = Image.merge("LA", [Image.fromarray(image[..., channel]) for channel in (0, 3)])
    path = _write(tmp_path / "b.png", grey)
    assert pixels.header(str(path)).channels == 1
    np.testing.assert_array_equal(_read(path, 1), image[..., :1])
    path = _write(tmp_path / "c.webp", image, lossless=True, exact=True)
    np.testing.assert_array_equal(_read(path), image[..., :3])


def test_of_sixteen_bits_the_upper_eight_are_read(tmp_path):
    values = np.array([[0, 255, 256], [0x1234, 0xFFFF, 0x80FF]], np.uint16)
    path = _write(tmp_path / "a.png", values)
    assert pixels.header(str(path)).channels == 1
    np.testing.assert_array_equal(_read(path, 1)[..., 0], [[0, 0, 1], [0x12, 0xFF, 0x80]])


@pytest.mark.parametrize("format_", ["PNG", "BMP", "GIF"])
def test_a_palette_is_looked_up(format_, tmp_path):
    places = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8)).convert("P")
    palette = np.array([[255, 0, 0], [0, 128, 7], [9, 9, 200]], np.uint8)
    places.putpalette(palette.ravel().tolist())
    shown = _read(_write(tmp_path / "a", places, format=format_))
    np.testing.assert_array_equal(shown, palette[[[0, 1, 2], [2, 1, 0]]])


def test_a_jpeg_for_print_becomes_red_green_and_blue(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK")
    path = _write(tmp_path / "a.jpg", image, quality=100)
    assert pixels.header(str(path)).channels == 3
    np.testing.assert_allclose(_read(path)[8, 8], (200, 30, 60), atol=4)


def _cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_file_that_is_cut_short_is_unreadable(format_, tmp_path, rng):
    path = _write(tmp_path / "a", _colours(rng, 40, 40), format=format_)
    path.write_bytes(_cut(path.read_bytes()))
    with pytest.raises(pixels.UnreadableError) as refusal:
        _read(path)
    assert 0 < len(str(refusal.value)) < 120


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"]
)
def test_what_is_no_image_is_unreadable_by_its_header(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(pixels.UnreadableError):
        pixels.header(str(tmp_path / "a.jpg"))


def test_an_image_of_a_format_that_is_not_read_is_unreadable(tmp_path, rng):
    path = _write(tmp_path / "a.png", _colours(rng), format="ICO")
    with pytest.raises(pixels.UnreadableError, match=r"^no image, or damaged$"):
        pixels.header(str(path))


def test_a_file_that_changes_after_its_header_was_read_is_unreadable(tmp_path, rng):
    path = _write(tmp_path / "a.png", _colours(rng))
    header = pixels.header(str(path))
    _write(path, _colours(rng, 9, 9))
    with pytest.raises(pixels.UnreadableError, match="header says"):
        pixels.decode(str(path), header, 3)
    path.unlink()
    with pytest.raises(pixels.UnreadableError, match="No such file"):
        pixels.decode(str(path), header, 3)


def test_an_image_too_large_to_be_one_is_unreadable_before_it_is_decoded(tmp_path):
    content = io.BytesIO()
    Image.new("1", (1, 1)).save(content, "PNG")
    huge = bytearray(content.getvalue())
    huge[16:24] = (30_000).to_bytes(4) * 2  # width and height
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4)
    (tmp_path / "a.png").write_bytes(huge)
    with pytest.raises(pixels.UnreadableError, match="900000000 pixels"):
        pixels.header(str(tmp_path / "a.png"))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_of_the_bits_that_are_used_the_upper_eight_are_kept(tmp_path, rng, shape, bits):
    values = rng.integers(0, 2**bits, shape).astype(np.uint16)
    path = tmp_path / "a.png"
    encoded = tf.io.encode_png(values if values.ndim == 3 else values[..., None])
    path.write_bytes(encoded.numpy())
    header = pixels.header(str(path))
    assert (header.bits, pixels.largest(str(path))) == (16, values.max())
    found = pixels.decode(str(path), header, header.channels, bits)
    np.testing.assert_array_equal(found, np.reshape(values >> (bits - 8), found.shape))


def test_images_of_eight_bits_are_what_they_are_whatever_others_have(tmp_path):
    shown = photos.image(0)
    path = photos.write(tmp_path / "a.png", shown)
    header = pixels.header(str(path))
    assert header.bits == 8
    np.testing.assert_array_equal(pixels.decode(str(path), header, 3, bits=12), shown)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_tiff_of_sixteen_bits_is_read_as_a_png_of_the_same_is(tmp_path, rng, bits):
    values = rng.integers(0, 2**bits, (4, 5)).astype(np.uint16)
    path = str(_write(tmp_path / "a.tif", Image.fromarray(values)))
    header = pixels.header(path)
    assert (header.bits, header.channels, pixels.largest(path)) == (16, 1, values.max())
    np.testing.assert_array_equal(pixels.decode(path, header, 1, bits)[..., 0], values >> (bits - 8))


def test_a_tiff_in_colour_is_read_and_one_of_floats_is_unreadable(tmp_path, rng):
    image = _colours(rng)
    np.testing.assert_array_equal(_read(_write(tmp_path / "a.tiff", image)), image)
    path = _write(tmp_path / "b.tiff", Image.fromarray(rng.random((4, 5)).astype(np.float32)))
    with pytest.raises(pixels.UnreadableError, match="values of 32 bits"):
        pixels.header(str(path))
