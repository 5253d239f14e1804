"""Typed values out of JSON: what is right is given as it is, what is wrong is named by file and place."""

import json

import pytest

from okd_tf import errors, fields, json_file

DOCUMENT = {
    "name": "résumé",
    "count": 3,
    "rate": 0.5,
    "whole_rate": 2,
    "on": True,
    "nested": {"list": [{"op": "conv"}, {"op": 3}]},
    "shares": [0, 0.25, 1],
    "counts": [0, 3],
}


@pytest.fixture
def document(tmp_path):
    json_file.write(tmp_path / "a.json", DOCUMENT)
    return fields.read(tmp_path / "a.json", mend="mend it")


def test_what_is_right_is_given_as_it_is(document):
    assert document["name"].text() == document["name"].label() == "résumé"
    assert document["count"].whole(3, 3) == 3
    assert (document["rate"].number(), document["whole_rate"].number()) == (0.5, 2)
    assert type(document["whole_rate"].number()) is int  # so that it is written as it was read
    assert document["on"].flag() is True
    assert document["shares"].shares(3) == [0, 0.25, 1]
    assert document["nested"]["list"].items(2)[0]["op"].text(("conv", "pool")) == "conv"
    assert document["counts"].wholes() == document["counts"].wholes(2) == [0, 3]
    assert document.get("absent") is None
    assert set(document["nested"].only(("list",), optional=("more",))) == {"list"}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda one: one["absent"], "the whole file: missing field absent"),
        (lambda one: one["name"]["deeper"], 'name: expected an object, got "résumé"'),
        (
            lambda one: one["nested"]["list"].items()[1]["op"].text(),
            "nested.list[1].op: expected text, got 3",
        ),
        (lambda one: one["name"].text(("a", "b")), 'name: expected "a" or "b", got "résumé"'),
        (lambda one: one["nested"].items(), "nested: expected a list, got {"),
        (lambda one: one["shares"].items(2), "shares: expected 2 elements, got 3"),
        (lambda one: one["on"].whole(), "on: expected an integer >= 0, got true"),
        (lambda one: one["rate"].whole(), "rate: expected an integer >= 0, got 0.5"),
        (lambda one: one["count"].whole(4), "count: expected an integer >= 4, got 3"),
        (lambda one: one["count"].whole(0, 2), "count: expected an integer >= 0 up to 2, got 3"),
        (lambda one: one["on"].number(), "on: expected a finite number, got true"),
        (lambda one: one["name"].number(), "name: expected a finite number, got "),
        (lambda one: one["whole_rate"].share(), "whole_rate: expected a finite number from 0 to 1, got 2"),
        (lambda one: one["shares"].wholes(), "shares[1]: expected an integer >= 0, got 0.25"),
        (lambda one: one["counts"].wholes(3), "counts: expected 3 elements, got 2"),
        (lambda one: one["name"].wholes(), "name: expected a list, got "),
        (lambda one: one["count"].flag(), "count: expected true or false, got 3"),
        (
            lambda one: one.only(("name",)),
            "the whole file: unknown field count, counts, nested, on, rate, shares,",
        ),
        (lambda one: one["nested"].only(("list", "more")), "nested: missing field more"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_place_with_what_to_do(document, ask, said):
    with pytest.raises(errors.UserError) as refusal:
        ask(document)
    message = str(refusal.value)
    assert message.startswith(f"{document.path}: {said}")
    assert message.endswith("; mend it")


@pytest.mark.parametrize("value", ["", "a\nb", "a\x1b[31m", 3, None])
def test_a_label_is_a_text_of_one_line(value):
    with pytest.raises(errors.UserError, match="expected a name of one line"):
        fields.Field("a.json", value).label()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, 1e31, -(10**400), "1", None])
def test_a_number_is_one_that_float32_can_compute_with(value):
    with pytest.raises(errors.UserError, match="expected a finite number"):
        fields.Field("a.json", value).number()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "not valid JSON (the key 'a' is there twice)"),
        ('{"a": [1, {"b": NaN}]}', "a[1].b: expected a finite number, got nan"),
        ('{"a": -1e999}', "a: expected a finite number, got -inf"),
        ('{"a": "\\ud800"}', "a: expected text, got half of a character"),
        ('{"a": {"\\udfff": 1}}', "a: a key is half of a character"),
        ("[" * 41 + "]" * 41, "nested deeper than 40 levels"),
        ("[" * 10**6, "nested deeper than 40 levels"),
    ],
)
def test_what_could_not_be_written_again_is_not_read(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(errors.UserError) as refusal:
        fields.read(tmp_path / "a.json")
    assert str(refusal.value).startswith(f"{tmp_path / 'a.json'}: {said}")
    assert str(refusal.value).endswith("; delete it, and what wrote it runs again")


def test_what_is_nested_as_deep_as_allowed_is_read(tmp_path):
    (tmp_path / "a.json").write_text("[" * 40 + "]" * 40)
    assert json.dumps(fields.read(tmp_path / "a.json").value) == "[" * 40 + "]" * 40


def test_a_message_is_one_line_whatever_is_quoted():
    error = errors.UserError("a\nb\x00c\u2028d\ud800e é")
    assert str(error) == "a\\nb\\x00c\\u2028d\\ud800e é"
