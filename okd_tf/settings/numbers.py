"""Integers in short notation: 50k, 1.5M, 2G, 1e6."""

import decimal
import re

_SHORT = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<times>[kKmMgG]|[eE]\+?\d{1,2})")


def plain(text: str) -> str:
    """Return the plain digits of a number such as 50k, 1.5M, 2G or 1e6; any other text unchanged."""
    found = _SHORT.fullmatch(text.strip())
    if not found:
        return text
    exponent = {"k": "e3", "m": "e6", "g": "e9"}.get(found["times"].lower(), found["times"])
    number = decimal.Decimal(found["number"] + exponent)
    return str(int(number)) if number == number.to_integral_value() else text
