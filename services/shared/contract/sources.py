"""Where a field's value is in a row: `physicalName` as a key (`customerId`) or a path (`$.items[0].sku`).

Paths are the part of JSONPath (RFC 9535) that names one value: keys and places in arrays, no wildcards, no filters.
"""

from __future__ import annotations

import re

from services.shared.contract.model import Steps

MAX_STEPS = 32
_LAST_PLACE = 999_999
_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_\u0080-\U0010ffff][\w-]*)|\[(?P<place>0|[1-9][0-9]{0,6})\]
    |\[(?P<quote>['"])(?P<key>(?:(?!(?P=quote))[^\\]|\\['"\\/])*)(?P=quote)\]""",
    re.VERBOSE,
)


class SourceError(ValueError):
    """A source that names no value: says why, and what to write."""


def parse_source(text: str) -> Steps:
    """The steps from the row's own object to the value.

    Raises:
        SourceError: it is not a key or a path to one value.
    """
    if not text:
        raise SourceError("is empty; write a key of the rows, or a path such as $.customer.id")
    if not text.startswith("$"):
        return (text,)
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise SourceError(
                f"{text!r} is not a path to one value, at character {at + 1}; write keys and places, such as "
                "$.customer.id, $.items[0].sku or $['a key']"
            )
        at = step.end()
        if step["place"] is not None:
            steps.append(int(step["place"]))
        elif step["name"] is not None:
            steps.append(step["name"])
        else:
            steps.append(re.sub(r"\\(.)", r"\1", step["key"]))
    if not steps:
        raise SourceError("'$' is the whole row; name a key of it, such as $.customer")
    if isinstance(steps[0], int):
        raise SourceError(f"{text!r} begins with a place in an array, but a row is an object")
    if len(steps) > MAX_STEPS or any(isinstance(step, int) and step > _LAST_PLACE for step in steps):
        raise SourceError(f"{text!r} has more than {MAX_STEPS} steps, or a place above {_LAST_PLACE}")
    return tuple(steps)


def path_text(path: Steps) -> str:
    """A path as it is written in a contract."""
    if len(path) == 1 and not str(path[0]).startswith("$"):
        return str(path[0])
    return "$" + "".join(_step_text(step) for step in path)


def _step_text(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    match = _STEP.fullmatch(f".{step}")
    if match:
        return f".{step}"
    escaped = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"
