"""Valid documents made invalid: in their structure, any node replaced by anything; and in their bytes."""

import copy
import json

from hypothesis import strategies as st

_NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400]),
    st.floats(),  # NaN and infinities among them, which Python's reader takes
    st.sampled_from([1e308, -0.0, 5e-324]),
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "\ud800",
            "a\nb",
            "\x00",
            "../../x.keras",
            "/etc/passwd",
            "x" * 5000,
            "3",
            "nan",
            "\u2028",
            "true",
        ]
    ),
)
_ANY = st.recursive(
    st.none() | st.booleans() | _NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
_PIECES = [b"\xff\xfe", b"\r", b"\n", b'"', b"\x00", b",", b"-", b"NaN", b"1e999", b"\xe2\x80\xa8"]


def _places(value, place=()):
    """The way to every node of a document."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from _places(one, (*place, key))


@st.composite
def structures(draw, document):
    """The text of a document of which some nodes were replaced, left out, added, or said twice."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        place = draw(st.sampled_from(places))
        if not place:
            if draw(st.integers(0, 9)) == 0:
                document = draw(_ANY)
            continue
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "replace", "delete", "add", "nest"]))
        if how == "replace":
            holder[place[-1]] = draw(_ANY)
        elif how == "delete":
            del holder[place[-1]]
        elif how == "nest":
            for _ in range(draw(st.sampled_from([1, 45, 200]))):
                holder[place[-1]] = [holder[place[-1]]]
        elif isinstance(holder, dict):
            holder[draw(TEXTS)] = draw(_ANY)
        else:
            holder.insert(place[-1], draw(_ANY))
    text = json.dumps(document)
    if draw(st.integers(0, 7)) == 0 and text.startswith("{") and len(text) > 2:
        text = "{" + text[1:-1] + ", " + text[1:]  # every key twice
    return text.encode()


@st.composite
def damages(draw, content):
    """Bytes of which some were changed, cut out, put in, or written twice."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 1, 2, 7, 50, len(content)]))
        how = draw(st.sampled_from(["flip", "cut", "insert", "repeat", "nest"]))
        if how == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[at : at + length]
        elif how == "insert":
            content[at:at] = draw(st.binary(max_size=8) | st.sampled_from(_PIECES))
        elif how == "repeat":
            content[at:at] = content[at : at + length]
        elif how == "nest":
            content[at:at] = draw(st.sampled_from([b"[", b'{"a":'])) * draw(st.sampled_from([3, 100_000]))
    return bytes(content)


def of(content, document=None):
    """Mutations of a file's content, and of its structure if it is JSON of this document."""
    return damages(content) if document is None else st.one_of(structures(document), damages(content))
