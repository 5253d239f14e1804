"""Whatever an image file or an archive of images holds, it is read, or refused in a few words."""

import io

import archives
import hypothesis
import mutation
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from okd_tf import errors
from okd_tf.data import pixels
from okd_tf.sources import archive

EXAMPLES, SLOW_EXAMPLES = 15, 300

BUDGETS = [EXAMPLES, pytest.param(SLOW_EXAMPLES, marks=[pytest.mark.slow, pytest.mark.exhaustive])]


def _file(format_, **options):
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = io.BytesIO()
    Image.fromarray(noise).save(
        made, format_, **options, **({} if format_ in ("GIF", "BMP") else {"exif": exif})
    )
    return made.getvalue()


@pytest.mark.parametrize("examples", BUDGETS)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that a file says wrong
def test_a_mutated_image_is_pixels_as_its_header_says_or_unreadable(format_, examples, tmp_path):
    content, path, refused = _file(format_), tmp_path / "a.png", set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(st.just(content) | mutation.damages(content), st.sampled_from([1, 3]))
    def fuzz(mutated, channels):
        path.write_bytes(mutated)
        message, image = "", None
        try:
            header = pixels.header(str(path))
            image = pixels.decode(str(path), header, channels)
        except pixels.UnreadableError as error:
            message = str(error)
        refused.add(image is None)
        if image is None:
            assert 0 < len(message) <= 120
            assert len(message.splitlines()) == 1
        else:
            assert image.dtype == np.uint8
            assert image.shape == (*header.size, channels)

    fuzz()
    assert refused == {True, False}


@pytest.mark.parametrize("examples", BUDGETS)
def test_a_mutated_archive_is_read_or_refused_in_one_line_that_names_it(examples, tmp_path):
    path = archives.write(tmp_path / "a.zip", archives.members(train=(0,)))
    content, refused = path.read_bytes(), set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(st.just(content) | mutation.damages(content))
    def fuzz(mutated):
        path.write_bytes(mutated)
        message = ""
        try:
            with archive.opened(path, "--tiny_imagenet_zip: mine") as opened:
                for image in opened.contents().train:
                    opened.read(image.member)
        except errors.UserError as error:
            message = str(error)
        refused.add(bool(message))
        assert not message or message.startswith("--tiny_imagenet_zip: mine: ")

    fuzz()
    assert refused == {True, False}
