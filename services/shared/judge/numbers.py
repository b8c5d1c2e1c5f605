"""The text of a JSON number, without a float between the digits and their meaning."""

from __future__ import annotations

_EXPONENT_DIGITS = 18


def significant(token: str) -> tuple[str, str, int | None]:
    """A number's sign, its digits without zeros around them, and the exponent of the last of them.

    The exponent is None where it is written with more digits than any decimal needs.
    """
    sign = token[: token.startswith("-")]
    mantissa, _, power = token[len(sign) :].lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    if len(power.lstrip("+-0")) > _EXPONENT_DIGITS:
        return sign, stripped, None
    return sign, stripped, _power(power) - len(fraction) + len(digits) - len(stripped)


def _power(text: str) -> int:
    """An exponent as it is written; `int` takes no more than 4300 digits, zeros included."""
    size = int(text.lstrip("+-0") or "0")
    return -size if text.startswith("-") else size
