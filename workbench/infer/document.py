"""A draft as the text of a contract file, with the evidence as comments. What is written here, the loader reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import yaml

from services.shared.contract.model import FieldType
from workbench.infer.draft import Draft, Drafts, EventTime, Key, shown
from workbench.infer.evidence import Evidence, epoch_of
from workbench.infer.written import formats_of

MAX_ALLOWED = 20  # different strings that are listed as the allowed ones
MAX_LEFT_OUT = 100  # keys that are listed
MAX_TIMES = 5  # inside of objects, that are named
_TIMES_EACH = 5  # that each was seen on average, at least


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a contract file says. `rows` counts those of the sample."""

    dataset: str
    rows: int
    unusable: int
    misfits: int
    drafts: Drafts
    event_time: EventTime
    key: Key
    allowed_values: bool
    rows_path: tuple[str, ...] = ()

    @property
    def fields(self) -> list[Draft]:
        """The drafts, and those inside of objects that are the event time or the key."""
        chosen = [self.event_time.field, *self.key.fields]
        return [*self.drafts.fields, *{one.name: one for one in chosen if one and one.inside}.values()]


def text_of(found: Findings) -> str:
    """The contract file, without the fields' ids."""
    return "\n".join(_lines(found)) + "\n"


def allowed(evidence: Evidence) -> list[str]:
    """The strings that a field seems to choose from; none where they are many."""
    few = 0 < len(evidence.distinct) <= MAX_ALLOWED and set(evidence.kinds) == {"string"}
    often = evidence.values >= _TIMES_EACH * len(evidence.distinct)
    return sorted(evidence.distinct) if few and often else []


def quoted(text: str) -> str:
    """A text as a YAML value, in quotes unless it is plainly a word."""
    if text.isidentifier() and text.isascii() and yaml.safe_load(text) == text:
        return text
    escapes = {'"': '\\"', "\\": "\\\\"}
    return (
        '"' + "".join(escapes.get(char, char if char.isprintable() else f"\\U{ord(char):08x}") for char in text) + '"'
    )


def _lines(found: Findings) -> Iterator[str]:
    yield f"# A first contract, from a sample of {found.rows:,} rows. Lines that begin with # say what was seen."
    if found.unusable:
        yield f"# {found.unusable:,} more rows are not rows that any contract accepts; `smelt try` says why."
    if found.misfits:
        yield f"# {found.misfits:,} more rows were set aside: their types are not those of nearly all others."
    yield from ("apiVersion: v3.1.0", "kind: DataContract", f"id: {quoted(found.dataset)}", "version: 1.0.0")
    yield from ("status: draft", "schema:", f"  - name: {found.dataset}", "    logicalType: object")
    yield f"    description: Not described yet. Say what one row of {found.dataset} is."
    yield "    customProperties:"
    yield from _event_time(found.event_time)
    if found.rows_path:
        yield "      # Each file is one document, and this is its array of objects. Remove it if a document is a row."
        yield "      - property: rowsPath"
        yield f"        value: {quoted('.'.join(('$', *found.rows_path)))}"
    if not found.key.names:
        yield "      # No key: nothing identifies the rows of the sample, so compaction keeps all. If fields do,"
        yield "      # give each of them `required: true` and `primaryKey: true`."
    yield "    properties:"
    for draft in found.fields:
        yield from _field(draft, found, "      ")
    left_out = list(found.drafts.left_out.items())
    for key, why in left_out[:MAX_LEFT_OUT]:
        yield f"      # no column: {quoted(key)} {_comment(why)}. Its values are kept as text in _rescued."
    if len(left_out) > MAX_LEFT_OUT:
        more = len(left_out) - MAX_LEFT_OUT
        yield f"      # {more:,} more keys are no columns. Their values are kept as text in _rescued."


def _event_time(when: EventTime) -> Iterator[str]:
    if when.field is None:
        yield f"      # When the row's object was created: {_comment(when.why)}."
        for other in when.others[:MAX_TIMES]:
            written = f" and format {other.fit.format}" if other.fit.format else ""
            written += " and acceptStrings: true" * other.fit.takes_strings
            what = f"required {other.type} with physicalName {quoted(other.source)}{written}"
            yield f"      # could be it, as a {what}: {_days(other.evidence)}"
        yield "      - property: eventTime"
        yield f"        value: {when.name}"
        return
    yield f"      # {when.field.name}: {_days(when.field.evidence)}"
    for other in when.others:
        yield f"      # could be it too: {other.called}, {_days(other.evidence)}"
    yield "      - property: eventTime"
    yield f"        value: {when.field.name}"
    yield "      - property: earliest"
    yield f'        value: "{when.earliest.year:04d}-{when.earliest:%m-%d}"'
    yield "      - property: maxAhead"
    yield f"        value: P{when.max_ahead.days}D"


def _field(draft: Draft, found: Findings, indent: str) -> Iterator[str]:
    for comment in _comments(draft, found):
        yield f"{indent}# {comment}"
    yield f"{indent}- name: {quoted(draft.name)}"
    rest = indent + "  "
    if draft.source != draft.name:
        yield f"{rest}physicalName: {quoted(draft.source)}"
    yield f"{rest}description: Not described yet."
    yield from _type(draft, rest)
    if draft.required:
        yield f"{rest}required: true"
    if draft.name in found.key.names:
        yield f"{rest}primaryKey: true"
        yield f"{rest}primaryKeyPosition: {found.key.names.index(draft.name) + 1}"
    if found.allowed_values and (values := allowed(draft.evidence)) and draft.type is FieldType.STRING:
        yield from (f"{rest}quality:", f"{rest}  - metric: invalidValues", f"{rest}    arguments:")
        yield f"{rest}      validValues: [{', '.join(map(quoted, values))}]"
        yield f"{rest}    mustBe: 0"
    yield from _children(draft, rest)


def _children(draft: Draft, indent: str) -> Iterator[str]:
    if draft.type is FieldType.ARRAY:
        for element in draft.children:
            yield f"{indent}items:"
            yield from _type(element, indent + "  ")
            yield from _children(element, indent + "  ")
    elif draft.children:
        yield f"{indent}properties:"
        for child in draft.children:
            yield f"{indent}  - name: {quoted(child.name)}"
            yield from _type(child, indent + "    ")
            if child.required:
                yield f"{indent}    required: true"
            yield from _children(child, indent + "    ")


def _type(draft: Draft, indent: str) -> Iterator[str]:
    logical = "number" if draft.type is FieldType.DECIMAL else draft.type.value
    yield f"{indent}logicalType: {logical}"
    if draft.fit.physical:
        yield f"{indent}physicalType: {draft.fit.physical}"
    if draft.fit.format:
        yield f"{indent}logicalTypeOptions: {{format: {draft.fit.format}}}"
    if draft.fit.takes_strings:
        yield f"{indent}customProperties:"
        yield f"{indent}  - {{property: acceptStrings, value: true}}"


# Comments


def _comments(draft: Draft, found: Findings) -> Iterator[str]:
    one = draft.evidence
    absent = found.rows - one.seen
    where = f"in all {found.rows:,} rows" if draft.required else f"absent in {absent:,} rows, null in {one.nulls:,}"
    yield f"{where}; {_values(draft)}"
    if epoch := epoch_of(one):
        unit, first, last = epoch
        kind = "strings" if one.numerals else "numbers" if one.kinds["number"] else "integers"
        what = "are read as" if draft.fit.format else "may be"
        yield f"these {kind} {what} {unit} since 1970: {_time(first)} to {_time(last)}"
    if draft.type is FieldType.NUMBER and 0 < one.fraction_digits <= 4:
        digits = one.fraction_digits
        yield f"never more than {digits} digits behind the point: physicalType decimal(18,{digits}) would be exact"
    if draft.type is FieldType.STRING and (formats := formats_of(one)):
        yield f"these strings may be times: {' or '.join(_as_type(*how) for how in formats)}"
    if draft.type is FieldType.STRING and not found.allowed_values and (values := allowed(one)):
        yield f"{len(values)} different values: `smelt infer --allowed-values` lists them as a quality rule"
    if draft.type is FieldType.OBJECT and one.is_map:
        yield "has so many different keys that they look like data: its properties are not listed"
    if draft.name in found.key.names[:1]:
        yield from _about_key(found.key)


def _as_type(type_: FieldType, pattern: str) -> str:
    return f'logicalType {type_.value} with logicalTypeOptions {{format: "{pattern}"}}'


def _about_key(key: Key) -> Iterator[str]:
    if len(key.names) > 1:
        yield f"the key: {', '.join(key.names)} are unique together in the sample"
    else:
        yield "the key: unique in the sample"
    if key.is_time_alone:
        yield "Of rows of the same time, compaction keeps one: take `primaryKey` out if they are different rows"
    if key.others:
        yield f"unique too: {shown(key.others)}"


def _values(draft: Draft) -> str:
    one = draft.evidence
    if draft.type in (FieldType.TIMESTAMP, FieldType.DATE):
        return _days(one)
    if one.lowest is not None and one.highest is not None and set(one.kinds) == {"integer"}:
        return f"integers from {one.lowest} to {one.highest}"
    if draft.type is FieldType.STRING:
        different = f"{len(one.distinct):,}" if not one.has_many else f"{len(one.distinct):,} or more"
        lengths = f"{one.shortest} to {one.longest}" if one.shortest != one.longest else f"{one.longest}"
        return f"strings of {lengths} characters, {different} different ones"
    return {"number": "numbers", "boolean": "true or false"}.get(next(iter(one.kinds)), next(iter(one.kinds)) + "s")


def _days(one: Evidence) -> str:
    first, last = one.first, one.last
    kind = "days" if one.dates == one.values else "timestamps"
    return f"{kind} from {_time(first, kind == 'days')} to {_time(last, kind == 'days')}" if first and last else kind


def _time(moment: datetime, is_day: bool = False) -> str:
    return f"{moment.date().isoformat()}" if is_day else moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).rstrip(".")
