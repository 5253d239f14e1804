"""Integers in short notation: 50k, 1.5M, 2G, 1e6."""

import decimal
import re

_SHORT = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<times>[kKmMgG]|[eE]\+?\d{1,2})")


def plain(text: str) -> str:
    """Return the digits of a number in thousands, millions, or powers of ten; other text as it is."""
    found = _SHORT.fullmatch(text.strip())
    if not found:
        return text
    exponent = {"k": "e3", "m": "e6", "g": "e9"}.get(found["times"].lower(), found["times"])
    number = decimal.Decimal(found["number"] + exponent)
    return str(int(number)) if number == number.to_integral_value() else text
