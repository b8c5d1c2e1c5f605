"""Numbers and text as people read them, on screens and on pages."""

from __future__ import annotations

from datetime import timedelta


def plain(text: object) -> str:
    """Text from anywhere on one line, in which nothing is hidden: control characters, halves of surrogate pairs and
    marks that turn the direction of reading appear as escapes."""
    return "".join(char if char.isprintable() else _escaped(char) for char in str(text))


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def size(number: float) -> str:
    """Bytes in decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def span(length: timedelta | None) -> str:
    """A length of time in its two largest units, such as `2h 05m`; a dash where there is none."""
    if length is None:
        return "-"
    seconds = max(int(length.total_seconds()), 0)
    for unit, long, below, short in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= long:
            return f"{seconds // long}{unit} {seconds % long // short:02d}{below}"
    return f"{seconds}s"


def rows(number: int) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def percent(part: int, whole: int) -> str:
    """How much of a whole, in two digits; `100 %` is all of it, and nothing else."""
    share = 100 * part / whole
    if 0 < share < 0.01:
        return "under 0.01 %"
    if part < whole:
        share = min(share, 99.9)
    return f"{share:.{2 if share < 99 else 3}g} %"
