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
from itertools import pairwise
from typing import NamedTuple

from services.shared.judge.judge import read_items
from services.shared.judge.row_json import Row, own_record_type
from services.shared.judge.verdicts import RECORD_TYPE
from services.transform.rows.text import Literal

_MAX_BYTES, MAX_KEYS = 64 * 1024, 1000  # of a row or layout that is learned: each key costs time for itself


class Style(NamedTuple):
    """The bytes before a row's first key, between keys and values, between values and keys, and behind the last one."""

    opener: bytes
    colon: bytes
    comma: bytes
    trailer: bytes


class Sample(NamedTuple):
    """What one row says of its layout: the bytes before each value, and those after the last one.

    The literal of `record_type` includes its value, of which `record_type_text` is the text. `style` is None where the
    bytes between keys and values are not the same in the whole row.
    """

    record_type: str | None
    record_type_text: bytes | None
    literals: dict[str, bytes]
    key_texts: dict[str, str]
    trailer: bytes
    style: Style | None


def learn_samples(rows: Iterable[bytes]) -> list[Sample]:
    """What these rows say; those that could not be accepted, or are very long, say nothing."""
    return [sample for sample in map(_sample, rows) if sample]


def _sample(row: bytes) -> Sample | None:
    found = read_items(row) if len(row) <= _MAX_BYTES else None
    if not found or not 0 < len(found.items) <= MAX_KEYS:
        return None
    text, at, literals, key_texts = found.text, 0, {}, {}
    for (key, item), span in zip(found.items.items(), found.spans(), strict=True):
        end = item.end if key == RECORD_TYPE else item.start
        literals[key] = text[at:end].encode()
        key_texts[key] = text[span.key_start : span.key_end]
        at = item.end
    own = found.items.get(RECORD_TYPE)
    own_text = text[own.start : own.end].encode() if own else None
    return Sample(own_record_type(found), own_text, literals, key_texts, text[at:].encode(), _style(found))


def _style(row: Row) -> Style | None:
    spans, text = list(row.spans()), row.text
    colons = {text[span.key_end : span.start] for span in spans}
    commas = {text[left.end : right.key_start] for left, right in pairwise(spans)} or {","}
    if len(colons) > 1 or len(commas) > 1:
        return None
    parts = (text[: spans[0].key_start], colons.pop(), commas.pop(), text[spans[-1].end :])
    return Style(*(part.encode() for part in parts))


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
    def of(cls, sample: Sample) -> Layout:
        literals = {key: Literal(text) for key, text in sample.literals.items()}
        return cls(sample.record_type, list(literals), literals, dict(sample.key_texts), Literal(sample.trailer))

    def absorb(self, sample: Sample) -> bool:
        """Take in the keys of another row; False where that row is laid out differently."""
        is_alike = (
            sample.trailer == self.trailer.text
            and next(iter(sample.literals)) == self.keys[0]
            and all(self.literals[key].text == text for key, text in sample.literals.items() if key in self.literals)
            and (RECORD_TYPE in self.literals or RECORD_TYPE not in sample.literals)
            and self._has_order(sample.literals)
            and len(self.literals.keys() | sample.literals.keys()) <= MAX_KEYS
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

    def _has_order(self, keys: Iterable[str]) -> bool:
        """Whether the known ones of these keys are in the layout's order."""
        place = {key: number for number, key in enumerate(self.keys)}
        return all(left < right for left, right in pairwise(place[key] for key in keys if key in place))


def learn_layouts(samples: Iterable[Sample]) -> list[Layout]:
    """The layouts of these samples, in the order in which they are met."""
    layouts: list[Layout] = []
    for sample in samples:
        if not any(layout.absorb(sample) for layout in layouts):
            layouts.append(Layout.of(sample))
    return layouts
