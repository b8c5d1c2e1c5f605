"""Points in time on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import typer


def parse_time(text: str) -> datetime:
    """A date or a time in ISO 8601, in UTC. Without an offset from UTC, it is UTC already.

    Raises:
        typer.BadParameter: it is neither. A bare number is not taken for seconds since 1970.
    """
    try:
        if text.isdecimal() and len(text) != len("20260131"):
            raise ValueError  # seconds or milliseconds since 1970, some of which can be read as a time of the year 1712
        moment = datetime.fromisoformat(text)
        if moment.year < 1970:  # before S3, and so early that no time is left to go back from it
            raise ValueError
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        example = "2026-01-31, 2026-01-31T08:00:00 or 2026-01-31T08:00:00+02:00"
        raise typer.BadParameter(f"{text!r} is not a time such as {example}.") from error
