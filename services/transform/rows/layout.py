"""Rows that are laid out alike, read column by column with a cursor in each row.

Machines write rows with the same keys in the same order and with the same blanks. A `Layout` is such an order, learned
from sample rows; each key but the first may be absent from a row. Reading goes key by key: where a row's bytes at its
cursor are the key's literal (`, "weight_kg": `), the value behind it is read by its type and the cursor moves on. A row
whose cursor reaches its end with nothing left over is exactly a JSON object with these keys, each at most once, and
these values. Every other row is left to somebody else; none is judged bad here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from services.shared.judge.judge import read_items
from services.shared.judge.row_json import own_record_type
from services.shared.judge.verdicts import RECORD_TYPE
from services.transform.rows.text import Literal

_MAX_BYTES, _MAX_KEYS = 64 * 1024, 1000  # of a row from which a layout is learned: each key costs time for itself


class _Sample(NamedTuple):
    """What one row says of its layout: the bytes before each value, and those after the last one."""

    record_type: str | None
    literals: dict[str, bytes]
    key_texts: dict[str, str]
    trailer: bytes


def _sample(row: bytes) -> _Sample | None:
    found = read_items(row) if len(row) <= _MAX_BYTES else None
    if not found or not 0 < len(found.items) <= _MAX_KEYS:
        return None
    text, at, literals, key_texts = found.text, 0, {}, {}
    for (key, item), span in zip(found.items.items(), found.spans(), strict=True):
        end = item.end if key == RECORD_TYPE else item.start
        literals[key] = text[at:end].encode()
        key_texts[key] = text[span.key_start : span.key_end]
        at = item.end
    record_type = own_record_type(found)
    return _Sample(record_type, literals, key_texts, text[at:].encode())


@dataclass(slots=True)
class Layout:
    """How rows of one dataset are laid out: each key's literal, in order, and what ends the row.

    The literal of `record_type` includes its value. `record_type` is None where it is absent or null.
    """

    record_type: str | None
    keys: list[str]
    literals: dict[str, Literal]
    key_texts: dict[str, str]
    trailer: Literal

    @classmethod
    def of(cls, sample: _Sample) -> Layout:
        literals = {key: Literal(text) for key, text in sample.literals.items()}
        return cls(sample.record_type, list(literals), literals, dict(sample.key_texts), Literal(sample.trailer))

    def absorb(self, sample: _Sample) -> bool:
        """Take in the keys of another row; False where that row is laid out differently."""
        is_alike = (
            sample.trailer == self.trailer.text
            and next(iter(sample.literals)) == self.keys[0]
            and all(self.literals[key].text == text for key, text in sample.literals.items() if key in self.literals)
            and (RECORD_TYPE in self.literals or RECORD_TYPE not in sample.literals)
        )
        if is_alike:
            behind: dict[str, list[str]] = {}  # new keys, by the known one that they follow
            known = self.keys[0]
            for key, text in sample.literals.items():
                if key in self.literals:
                    known = key
                else:
                    behind.setdefault(known, []).append(key)
                    self.literals[key] = Literal(text)
                    self.key_texts[key] = sample.key_texts[key]
            self.keys = [new for key in self.keys for new in (key, *behind.get(key, ()))]
        return is_alike


def learn_layouts(rows: Iterable[bytes]) -> list[Layout]:
    """The layouts of these sample rows, in the order in which they are met."""
    layouts: list[Layout] = []
    for sample in filter(None, map(_sample, rows)):
        if not any(layout.absorb(sample) for layout in layouts):
            layouts.append(Layout.of(sample))
    return layouts
