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
from services.shared.contract.model import Contract, Field, FieldType, field_ids


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
    for old, new in _kept_fields(before, after):
        if _stored(old) != _stored(new):
            yield (
                f"{old.name}: changes from {_type(old)} to {_type(new)}, but a column keeps its type; "
                "remove the field and add one with another name"
            )


def _stored(field: Field) -> tuple[FieldType, int | None]:
    """What a column must keep. The digits before a decimal's point may change; those behind it may not."""
    return stored_type(field), field.scale


# What a new version allows


def _breaking(before: Contract, after: Contract) -> Iterator[str]:
    old, now = {field.name for field in before.fields}, {field.name for field in after.fields}
    yield from (f"{field.name}: is removed" for field in before.fields if field.name not in now)
    for was, is_ in _kept_fields(before, after):
        if _stored(was) == _stored(is_):
            if was.type is not is_.type:
                yield f"{was.name}: changes from {_type(was)} to {_type(is_)}"
            elif (is_.precision or 0) < (was.precision or 0):
                yield f"{was.name}: narrows from {_type(was)} to {_type(is_)}"
        if is_.required and not was.required:
            yield f"{was.name}: becomes required"
    for field in after.fields:
        if field.name not in old and field.required:
            yield f"{field.name}: is new, and required"
    if before.event_time != after.event_time:
        yield f"the event time changes from {before.event_time} to {after.event_time}"
    if before.keys != after.keys:
        yield f"the key changes from ({', '.join(before.keys)}) to ({', '.join(after.keys)})"
    if after.earliest > before.earliest:
        yield f"the window narrows: earliest goes from {before.earliest:%Y-%m-%d} to {after.earliest:%Y-%m-%d}"
    if after.max_ahead < before.max_ahead:
        yield f"the window narrows: maxAhead goes from {before.max_ahead} to {after.max_ahead}"


def _compatible(before: Contract, after: Contract) -> Iterator[str]:
    old, retired = {field.name for field in before.fields}, dict(before.retired)
    for field in after.fields:
        if field.name not in old and not field.required:
            yield f"{field.name}: is new, and optional"
        if field.name in retired:
            yield f"{field.name}: comes back, with its id {field.id}; make sure that it has the type that it had"
    for was, is_ in _kept_fields(before, after):
        if was.required and not is_.required:
            yield f"{was.name}: becomes optional"
        if _stored(was) == _stored(is_) and (is_.precision or 0) > (was.precision or 0):
            yield f"{was.name}: widens from {_type(was)} to {_type(is_)}"
    if after.earliest < before.earliest or after.max_ahead > before.max_ahead:
        yield "the window widens"
    kept = [was.name for was, _ in _kept_fields(before, after)]
    if kept != [field.name for field in after.fields if field.name in old]:
        yield "the columns change their order"


def _kept_fields(before: Contract, after: Contract) -> list[tuple[Field, Field]]:
    """The columns that both have, as they were and as they are, in the order of `before`."""
    now = {field.name: field for field in after.fields}
    return [(field, now[field.name]) for field in before.fields if field.name in now]


def _type(field: Field) -> str:
    return f"decimal({field.precision},{field.scale})" if field.type is FieldType.DECIMAL else field.type.value
