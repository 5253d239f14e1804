"""Parts that are done are not done again, until the whole is."""

import numpy as np
import pytest

from okd_tf import kept


def _never():
    pytest.fail("made again")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".kept"


def test_an_array_is_made_once(folder):
    made = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(kept.Kept(folder, 1).array("a", lambda: made), made)
    found = kept.Kept(folder, 1).array("a", _never)
    np.testing.assert_array_equal(found, made)
    assert found.dtype == made.dtype


def test_a_value_is_made_once_while_it_holds(folder):
    assert kept.Kept(folder, {"of": 1}).value("a", lambda: {"x": 1}) == {"x": 1}
    again = kept.Kept(folder, {"of": 1})
    assert again.value("a", _never) == {"x": 1}
    assert again.value("a", lambda: {"x": 2}, holds=lambda found: found["x"] == 2) == {"x": 2}
    assert again.value("a", lambda: {"x": 3}, holds=lambda found: found["y"] == 2) == {"x": 3}


@pytest.mark.parametrize(("of", "part"), [(2, "a"), (1, "b")])
def test_what_is_of_something_else_is_not_found(folder, of, part):
    kept.Kept(folder, 1).value("a", lambda: "first")
    assert kept.Kept(folder, of).value(part, lambda: "second") == "second"


@pytest.mark.parametrize(
    "content", [b"", b"cut", b"\x93NUMPY\x01\x00v\x00{", b"PK\x03\x04", b"PK\x05\x06" + 18 * b"\0"]
)
def test_what_is_damaged_is_made_again(folder, content):
    results = kept.Kept(folder, 1)
    results.array("a", lambda: np.zeros(3))
    results.value("b", lambda: 1)
    for path in folder.iterdir():
        path.write_bytes(content)
    np.testing.assert_array_equal(results.array("a", lambda: np.ones(3)), np.ones(3))
    assert results.value("b", lambda: 2) == 2


def test_an_array_of_objects_is_neither_written_nor_read(folder):
    results = kept.Kept(folder, 1)
    with pytest.raises(ValueError, match="Object arrays"):
        results.array("a", lambda: np.array([{}]))
    results.array("b", lambda: np.zeros(1))
    (path,) = folder.glob("*.npy")
    np.save(path, np.array([{}]), allow_pickle=True)
    np.testing.assert_array_equal(results.array("b", lambda: np.ones(1)), np.ones(1))


def test_what_is_forgotten_is_gone(folder):
    results = kept.Kept(folder, 1)
    results.value("a", lambda: 1)
    results.forget()
    assert not folder.exists()
    assert results.value("a", lambda: 2) == 2
