"""What changed from one version of a dataset's contract to another, and whether its version says so.

Breaking is what rejects rows that were accepted, or takes away a column that queries use: it needs a higher major
version. Any other change of rows needs a higher version, because lots remember under which they ran. Two things no
version allows: another id for a field (files that are written keep the old one), and another stored type for a column
(a table has one type for it).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.ops.contracts.findings import Finding, Level
from services.shared.columns import stored_type
from services.shared.contract.fields import FIELD_IDS
from services.shared.contract.model import Contract, Field, FieldType, field_ids, walk
from services.shared.contract.sources import path_text


def compare(before: Contract, after: Contract) -> list[Finding]:
    """The findings, refused changes first."""
    never = [*_ids(before, after), *_stored_types(before, after)]
    breaking, compatible = list(_breaking(before, after)), list(_compatible(before, after))
    old, new = _version(before), _version(after)
    announced = Level.ANNOUNCED if new[0] > old[0] else Level.BREAKING
    hint = "" if announced is Level.ANNOUNCED else f" (needs version {old[0] + 1}.0.0)"
    findings = [Finding(after.dataset, Level.PROBLEM, what) for what in never]
    findings += [Finding(after.dataset, announced, what + hint) for what in breaking]
    findings += [Finding(after.dataset, Level.COMPATIBLE, what) for what in compatible]
    if new < old:
        what = f"version goes back from {before.version} to {after.version}"
        findings.append(Finding(after.dataset, Level.PROBLEM, what))
    elif new == old and compatible and not breaking:
        what = f"changed, but its version is still {before.version}; make it {old[0]}.{old[1] + 1}.0"
        findings.append(Finding(after.dataset, Level.PROBLEM, what))
    return findings


def _version(contract: Contract) -> tuple[int, ...]:
    return tuple(int(part) for part in contract.version.split("."))


# What no version allows


def _ids(before: Contract, after: Contract) -> Iterator[str]:
    """Ids that a field has lost, and ids that another field has got. Fields of the past count as well."""
    old, new = field_ids(before), field_ids(after)
    owners = {id_: path for path, id_ in old.items()}
    for path, id_ in old.items():
        if path not in new:
            yield f"{FIELD_IDS}: {path} is gone; put `{path}: {id_}` back: an id is kept when its field is removed"
        elif new[path] != id_:
            yield f"{FIELD_IDS}: {path} had the id {id_} and has {new[path]}; put {id_} back"
    for path, id_ in new.items():
        owner = owners.get(id_, path)
        if owner != path:
            yield (
                f"{FIELD_IDS}: {path} has the id {id_}, which belongs to {owner}; delete `{path}: {id_}` and run "
                f"`smelt contracts number {after.file}`"
            )


def _stored_types(before: Contract, after: Contract) -> Iterator[str]:
    for path, old, new in _kept(before.fields, after.fields):
        if (_is_column(before.fields, path) and _is_column(after.fields, path)) and _stored(old) != _stored(new):
            yield (
                f"{path}: changes from {_type(old)} to {_type(new)}, but a column keeps its type; "
                "remove the field and add one with another name"
            )


def _is_column(fields: tuple[Field, ...], path: str) -> bool:
    """Whether a field is a column, or a part of a struct or list column; else it is inside JSON text."""
    above = {other: field for other, field in walk(fields) if path.startswith(f"{other}.")}
    return all(field.is_nested_column for field in above.values())


def _stored(field: Field) -> tuple[FieldType, int | None]:
    """What a column must keep. The digits before a decimal's point may change; those behind it may not."""
    return stored_type(field), field.scale


# What a new version allows


def _breaking(before: Contract, after: Contract) -> Iterator[str]:
    old, now = dict(walk(before.fields)), dict(walk(after.fields))
    for path in old:
        if path not in now and (_is_column(before.fields, path) or "." not in path):
            yield f"{path}: is removed"
    for path, was, is_ in _kept(before.fields, after.fields):
        yield from (f"{path}: {what}" for what in _narrowed(was, is_, _is_column(after.fields, path)))
    for path, field in now.items():
        if path not in old and field.required:
            yield f"{path}: is new, and required"
        elif path not in old and "." in path and not _is_column(after.fields, path):
            yield f"{path}: is new inside JSON text, where other values were accepted"
    yield from _envelope(before, after)
    if before.event_time != after.event_time:
        yield f"the event time changes from {before.event_time} to {after.event_time}"
    if before.keys != after.keys:
        yield f"the key changes from ({', '.join(before.keys) or 'none'}) to ({', '.join(after.keys) or 'none'})"
    if after.earliest > before.earliest:
        yield f"the window narrows: earliest goes from {before.earliest:%Y-%m-%d} to {after.earliest:%Y-%m-%d}"
    if after.max_ahead < before.max_ahead:
        yield f"the window narrows: maxAhead goes from {before.max_ahead} to {after.max_ahead}"


def _envelope(before: Contract, after: Contract) -> Iterator[str]:
    """Rows that are others now, and values of the envelope that rows do not get any more, or from elsewhere."""
    if before.rows_path != after.rows_path:
        yield f"rowsPath: rows are {_place(after.rows_path)}, not {_place(before.rows_path)} any more"
    now = dict(after.envelope_fields)
    for name, path in before.envelope_fields:
        if name not in now:
            yield f"envelopeFields.{name}: is removed"
        elif now[name] != path:
            yield f"envelopeFields.{name}: comes from {_shown(now[name])}, not from {_shown(path)} any more"


def _place(rows_path: tuple[str, ...]) -> str:
    return f"at {_shown(rows_path)}" if rows_path else "whole documents"


def _shown(path: tuple[str, ...]) -> str:
    return ".".join(("$", *path))


def _narrowed(was: Field, is_: Field, is_column: bool) -> Iterator[str]:
    """What rejects values that were accepted, or takes them from elsewhere."""
    if _stored(was) == _stored(is_) or not is_column:
        if was.type is not is_.type:
            yield f"changes from {_type(was)} to {_type(is_)}"
        elif (is_.precision or 0) < (was.precision or 0) or (is_.scale or 0) < (was.scale or 0):
            yield f"narrows from {_type(was)} to {_type(is_)}"
    if is_.required and not was.required:
        yield "becomes required"
    if was.path != is_.path:
        yield f"comes from {path_text(is_.path)}, not from {path_text(was.path)} any more"
    if was.time != is_.time:
        yield f"is written as {_written(is_)}, not as {_written(was)} any more"
    if was.takes_strings and not is_.takes_strings:
        yield "does not accept strings any more"


def _written(field: Field) -> str:
    how = field.time
    words = [how.pattern or ("YYYY-MM-DD" if field.type is FieldType.DATE else "RFC 3339")]
    if how.has_offset is not None:
        words.append("with an offset" if how.has_offset else "without an offset")
    if how.default_offset:
        words.append(f"{how.default_offset} minutes ahead of UTC")
    return ", ".join(words)


def _compatible(before: Contract, after: Contract) -> Iterator[str]:
    old, now, retired = dict(walk(before.fields)), dict(walk(after.fields)), dict(before.retired)
    for path, field in now.items():
        if path not in old and not field.required and _is_column(after.fields, path):
            yield f"{path}: is new, and optional"
        if path in retired:
            yield f"{path}: comes back, with its id {field.id}; make sure that it has the type that it had"
    for path in old:
        if path not in now and "." in path and not _is_column(before.fields, path):
            yield f"{path}: is not checked any more"
    for path, was, is_ in _kept(before.fields, after.fields):
        if was.required and not is_.required:
            yield f"{path}: becomes optional"
        if _stored(was) == _stored(is_) and (is_.precision or 0) > (was.precision or 0):
            yield f"{path}: widens from {_type(was)} to {_type(is_)}"
        if is_.takes_strings and not was.takes_strings:
            yield f"{path}: accepts strings"
    for name, _ in after.envelope_fields:
        if name not in dict(before.envelope_fields):
            yield f"envelopeFields.{name}: is new; a row that has this key itself is rejected as duplicate_key"
    if after.earliest < before.earliest or after.max_ahead > before.max_ahead:
        yield "the window widens"
    kept = [field.name for field in before.fields if field.name in now]
    if kept != [field.name for field in after.fields if field.name in old]:
        yield "the columns change their order"


def _kept(before: tuple[Field, ...], after: tuple[Field, ...]) -> list[tuple[str, Field, Field]]:
    """The fields that both have, with their paths, as they were and as they are, in the order of `before`."""
    now = dict(walk(after))
    return [(path, field, now[path]) for path, field in walk(before) if path in now]


def _type(field: Field) -> str:
    if field.is_nested_column:
        return "list" if field.type is FieldType.ARRAY else "struct"
    return f"decimal({field.precision},{field.scale})" if field.type is FieldType.DECIMAL else field.type.value
