"""JSON is written whole, and read back or refused by its file."""

import json

import pytest

from okd_tf import errors, json_file


def test_json_is_read_back_in_the_order_it_was_given(tmp_path):
    value = {"b": [1, 2.5, None], "a": {"text": "ä"}}
    json_file.write(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert list(json.loads(text)) == ["b", "a"]
    assert json_file.read(tmp_path / "a.json") == value


def test_lists_of_numbers_take_a_line_each_and_say_what_they_were_given(tmp_path):
    value = {
        "m": [[1, -2, 3.5e-07], [None, True, 0]],
        "texts": ["[\n  1\n]", "1"],
        "mixed": [1, "a"],
        "none": [],
    }
    json_file.write(tmp_path / "a.json", value)
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert lines[:5] == ["{", '  "m": [', "    [1, -2, 3.5e-07],", "    [null, true, 0]", "  ],"]
    assert json_file.read(tmp_path / "a.json") == value


@pytest.mark.parametrize("content", [b'{"a": [1, 2', b"", b"\xff\xfe\x00"])
def test_json_that_is_none_is_refused_by_its_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=f"^{path}: not valid JSON"):
        json_file.read(path)


def test_json_that_cannot_be_read_is_refused_by_its_file(tmp_path):
    with pytest.raises(errors.UserError, match=f"^{tmp_path / 'none.json'}: no such file$"):
        json_file.read(tmp_path / "none.json")
    with pytest.raises(errors.UserError, match=f"^{tmp_path}: cannot be read: Is a directory$"):
        json_file.read(tmp_path)
