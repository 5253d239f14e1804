"""arch.json: what is written is what is read, and what is wrong is named."""

import copy
import json

import hypothesis
import pytest
from hypothesis import strategies as st

from okd_tf import errors
from okd_tf.arch import spec

_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def _specs(draw):
    channels, file = draw(st.integers(1, 4)), draw(st.booleans())
    numbers = 0 if file else channels
    points = draw(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=6))
    return spec.ArchSpec(
        backbone="backbone.keras" if file else draw(st.text(max_size=5)),
        width=0 if file else draw(st.integers(1, 512)),
        input_shape=(draw(st.integers(1, 512)), draw(st.integers(1, 512)), channels),
        classes=draw(st.integers(1, 1000)),
        mean=tuple(draw(st.lists(_NUMBERS, min_size=numbers, max_size=numbers))),
        std=tuple(draw(st.lists(st.floats(1e-6, 1e6), min_size=numbers, max_size=numbers))),
        add_ons=tuple(
            spec.AddOn(point, draw(st.text(max_size=12)), draw(st.booleans()), draw(st.booleans()))
            for point in points
        ),
        cost=spec.Cost(draw(st.integers(0, 2**60)), draw(st.integers(0, 2**60))),
        budget=spec.Budget(draw(st.integers(0, 2**60)), draw(st.integers(0, 2**60))),
        attach_points=tuple(points),
        backbone_sha256=draw(st.text("0123456789abcdef", max_size=64)),
        provenance=draw(
            st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)
        ),
    )


@hypothesis.given(_specs())
def test_a_spec_is_read_back_as_it_was_written(architecture):
    text = json.dumps(architecture.to_json())
    again = spec.ArchSpec.from_json(json.loads(text))
    assert again == architecture
    assert again.provenance == architecture.provenance
    assert json.dumps(again.to_json()) == text


@hypothesis.given(_specs())
def test_to_json_is_made_of_json_s_own_types(architecture):
    assert spec.ArchSpec.from_json(architecture.to_json()) == architecture


@pytest.fixture
def record():
    return spec.ArchSpec(
        backbone="resnet8",
        width=4,
        input_shape=(8, 8, 3),
        classes=10,
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        add_ons=(spec.AddOn("a", "identity", False, True), spec.AddOn("b", "conv_3x3", True, True)),
        cost=spec.Cost(100, 200),
        budget=spec.Budget(1000, 0),
        provenance={"strategy": "random"},
    ).to_json()


def test_a_file_is_read_back_as_it_was_written(record, tmp_path):
    architecture = spec.ArchSpec.from_json(record)
    spec.write(tmp_path / "arch.json", architecture)
    assert spec.read(tmp_path / "arch.json") == architecture
    assert json.loads((tmp_path / "arch.json").read_text())["format_version"] == 2


@pytest.fixture
def file_record(record):
    return {
        **record,
        "backbone": "backbone.keras",
        "width": 0,
        "mean": [],
        "std": [],
        "attach_points": ["a", "b"],
        "backbone_sha256": "0" * 64,
    }


def test_a_backbone_s_file_lies_beside_the_file_that_names_it_wherever_both_are(file_record, tmp_path):
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        (folder / "arch.json").write_text(json.dumps(file_record))
        found = spec.read(folder / "arch.json")
        assert found.backbone_path == folder / "backbone.keras"
        assert "folder" not in found.to_json()
    assert spec.ArchSpec.from_json(found.to_json()) == found


def test_a_registered_backbone_has_no_file(record):
    assert spec.ArchSpec.from_json(record, "runs/arch.json").backbone_path is None


def test_writing_elsewhere_takes_the_backbone_s_file_along(file_record, tmp_path):
    (tmp_path / "backbone.keras").write_bytes(b"network")
    found = spec.ArchSpec.from_json(file_record, str(tmp_path / "arch.json"))
    spec.write(tmp_path / "arch.json", found)
    spec.write(tmp_path / "elsewhere" / "arch.json", found)
    assert (tmp_path / "backbone.keras").read_bytes() == b"network"
    assert (tmp_path / "elsewhere" / "backbone.keras").read_bytes() == b"network"
    assert spec.read(tmp_path / "elsewhere" / "arch.json") == found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "/home/me/mine.keras"}, "backbone: expected the name of a file in the same folder"),
        ({"backbone": "../mine.keras"}, "backbone: expected the name of a file in the same folder"),
        ({"backbone": "../../x/y/mine.keras"}, "backbone: expected the name of a file in the same folder"),
        ({"backbone": "a/../mine.keras"}, "backbone: expected the name of a file in the same folder"),
        ({"mean": [1.0, 2.0, 3.0]}, "mean: expected 0 elements, got 3"),
        ({"width": -1}, "width: expected an integer >= 0"),
    ],
)
def test_a_malformed_record_of_a_file_is_refused(file_record, change, named):
    with pytest.raises(errors.UserError) as refusal:
        spec.ArchSpec.from_json({**file_record, **change}, "mine.json")
    assert str(refusal.value).startswith(f"mine.json: {named}")


_MISSING = object()


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("format_version",), 1, "the whole file: format_version 1"),
        (("format_version",), _MISSING, "the whole file: format_version None"),
        (("backbone",), _MISSING, "the whole file: missing field backbone"),
        (("surplus",), 1, "the whole file: unknown field surplus"),
        (("backbone",), 20, "backbone: expected text"),
        (("width",), 0, "width: expected an integer >= 1"),
        (("width",), 4.0, "width: expected an integer >= 1"),
        (("width",), True, "width: expected an integer >= 1"),
        (("classes",), "10", "classes: expected an integer >= 1"),
        (("classes",), -1, "classes: expected an integer >= 1"),
        (("input_shape",), [8, 8], "input_shape: expected 3 elements, got 2"),
        (("input_shape",), [8, 8, 0], "input_shape[2]: expected an integer >= 1"),
        (("input_shape",), "8x8x3", "input_shape: expected a list"),
        (("mean",), [1.0, 2.0], "mean: expected 3 elements"),
        (("mean",), [1.0, 2.0, "3"], "mean[2]: expected a finite number"),
        (("mean",), [1.0, 2.0, float("nan")], "mean[2]: expected a finite number"),
        (("std",), [1.0], "std: expected 3 elements"),
        (("std",), [1.0, 2.0, 0.0], "std[2]: expected a finite number from 1e-30"),
        (("std",), None, "std: expected a list"),
        (("add_ons",), {}, "add_ons: expected a list"),
        (("add_ons", 1), "conv_3x3", "add_ons[1]: expected an object"),
        (("add_ons", 1, "op"), None, "add_ons[1].op: expected text"),
        (("add_ons", 0, "after"), 1, "add_ons[0].after: expected text"),
        (("add_ons", 0, "chain"), 1, "add_ons[0].chain: expected true or false"),
        (("add_ons", 1, "feed_back"), "yes", "add_ons[1].feed_back: expected true or false"),
        (("add_ons", 1, "feed_back"), _MISSING, "add_ons[1]: missing field feed_back"),
        (("add_ons", 1, "kernel"), 3, "add_ons[1]: unknown field kernel"),
        (("add_ons", 1, "after"), "a", "add_ons[1].after: 'a' has an add-on layer already"),
        (("cost",), 100, "cost: expected an object"),
        (("cost", "params"), -1, "cost.params: expected an integer >= 0"),
        (("cost", "flops"), 2.5, "cost.flops: expected an integer >= 0"),
        (("cost", "flops"), _MISSING, "cost: missing field flops"),
        (("budget", "max_params"), True, "budget.max_params: expected an integer >= 0"),
        (("budget", "max_latency"), 1, "budget: unknown field max_latency"),
        (("attach_points",), "a", "attach_points: expected a list"),
        (("attach_points",), ["a", 2], "attach_points[1]: expected text"),
        (("backbone_sha256",), None, "backbone_sha256: expected text"),
        (("provenance",), [], "provenance: expected an object"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line_naming_path_and_field(record, tmp_path, place, value, named):
    record = copy.deepcopy(record)
    part = record
    for step in place[:-1]:
        part = part[step]
    if value is _MISSING:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(record))
    with pytest.raises(errors.UserError) as refusal:
        spec.read(path)
    assert str(refusal.value).startswith(f"{path}: {named}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "the whole file: expected an object"),
        ("null", "the whole file: expected an object"),
        ('{"format_version": 1, "backb', "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_record_is_refused_naming_the_path(tmp_path, text, named):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(errors.UserError) as refusal:
        spec.read(path)
    assert str(refusal.value).startswith(f"{path}: {named}")


def test_a_missing_file_is_refused_naming_the_path(tmp_path):
    with pytest.raises(errors.UserError, match=r"absent\.json: no such file"):
        spec.read(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("budget", "admitted"),
    [
        (spec.Budget(), True),
        (spec.Budget(max_params=100), True),
        (spec.Budget(max_params=99), False),
        (spec.Budget(max_flops=200), True),
        (spec.Budget(max_flops=199), False),
        (spec.Budget(max_params=100, max_flops=199), False),
        (spec.Budget(max_params=99, max_flops=200), False),
    ],
)
def test_a_budget_admits_what_is_not_above_either_bound(budget, admitted):
    assert budget.admits(spec.Cost(params=100, flops=200)) is admitted
