"""A report as a page. It words and arranges; it finds nothing out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from services.ops.pages.page import render
from services.ops.report.model import ObjectPart, Report
from services.ops.words import percent, plain, size, span
from services.shared.contract.model import Contract, Field, FieldType, walk

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
_FIELDS = 300  # of a contract
_DATASETS = 100  # with the most rows
_CONTRACTS = 100


def page_of(report: Report) -> str:
    """The whole page as HTML."""
    counts = report.counts
    pictures = (
        report.loaded.picture("Rows loaded to Silver"),
        report.refused.picture("Rows refused to quarantine"),
        report.happened.picture("Rows in Silver, by when they happened"),
    )
    return render(
        TEMPLATE,
        {
            "report": report,
            "tiles": [
                ("rows in", f"{counts.read:,}"),
                ("in Silver", f"{counts.silver:,}"),
                ("in quarantine", _with_percent(counts.quarantined, counts.read)),
                ("objects", f"{sum(report.objects_by_state.values()):,}"),
                ("objects rejected", f"{report.rejected_total:,}"),
            ],
            "complete": counts.read == counts.silver + counts.quarantined,
            "pictures": [picture for picture in pictures if picture],
            "datasets": _datasets(report),
            "datasets_left_out": len(report.datasets) - _DATASETS,
            "states": ", ".join(
                f"{number:,} {state.replace('_', ' ')}" for state, number in report.objects_by_state.items()
            ),
            "objects": _objects(report.objects),
            "objects_left_out": sum(report.objects_by_state.values()) - len(report.objects),
            "rejected_left_out": report.rejected_total - len(report.rejected),
            "lots": [
                [
                    lot.name,
                    _time(lot.claimed),
                    *(f"{number:,}" for number in (lot.silver, lot.quarantined, lot.files)),
                    size(lot.bytes),
                ]
                for lot in report.lots
            ],
            "contracts": [_contract(contract) for contract in report.contracts[:_CONTRACTS]],
            "contracts_left_out": len(report.contracts) - _CONTRACTS,
        },
    )


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _with_percent(number: int, of: int) -> str:
    return f"{number:,} ({percent(number, of)})" if number else "0"


def _datasets(report: Report) -> Mapping[str, Any]:
    """The columns that say something here, and the rows."""
    most = sorted(report.datasets.values(), key=lambda part: (-part.silver - part.quarantined, part.name))[:_DATASETS]
    parts = sorted(most, key=lambda part: part.name)
    columns = {
        "dataset": [plain(part.name) for part in parts],
        "Silver": [f"{part.silver:,}" for part in parts],
        "quarantined": [_with_percent(part.quarantined, part.silver + part.quarantined) for part in parts],
        "files": [f"{part.files:,}" if part.files else "" for part in parts],
        "Parquet": [size(part.bytes) if part.bytes else "" for part in parts],
        "newest event": [part.newest for part in parts],
        "last loaded": [_time(part.loaded) for part in parts],
        "age": [span(report.at - part.loaded) if part.loaded else "" for part in parts],
        "lag": [span(part.lag) if part.lag is not None else "" for part in parts],
        "open": [f"{part.open:,}" if part.open else "" for part in parts],
    }
    return _told(columns)


def _objects(objects: Sequence[ObjectPart]) -> Mapping[str, Any]:
    columns = {
        "object": [plain(one.name) for one in objects],
        "dataset": [plain(one.dataset) for one in objects],
        "state": [one.state.replace("_", " ") for one in objects],
        "rows": [f"{one.counts.read:,}" for one in objects],
        "Silver": [f"{one.counts.silver:,}" for one in objects],
        "quarantined": [f"{one.counts.quarantined:,}" for one in objects],
        "size": ["" if one.size is None else size(one.size) for one in objects],
        "finished": [_time(one.finished) for one in objects],
    }
    return _told(columns)


def _told(columns: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """The columns that say something, as their names and the rows."""
    told = {name: values for name, values in columns.items() if any(values)}
    return {"columns": list(told), "rows": [list(row) for row in zip(*told.values(), strict=True)]}


def _contract(contract: Contract) -> Mapping[str, Any]:
    fields = list(walk(contract.fields))
    return {
        "contract": contract,
        "key": ", ".join(contract.keys) or "none: no row is known by one",
        "rows_path": ".".join(("$", *contract.rows_path)) if contract.rows_path else "",
        "fields": [
            [path, _type(one), "yes" if one.required else "", _source(one), plain(one.description)]
            for path, one in fields[:_FIELDS]
        ],
        "left_out": max(0, len(fields) - _FIELDS),
    }


def _type(field: Field) -> str:
    if field.type is FieldType.DECIMAL:
        return f"decimal({field.precision},{field.scale})"
    if field.type in (FieldType.OBJECT, FieldType.ARRAY):
        column = {FieldType.OBJECT: "struct", FieldType.ARRAY: "list"}[field.type]
        return f"{field.type}, {f'a {column}' if field.is_nested_column else 'as JSON text'}"
    return f"{field.type}{f' ({field.time.pattern})' if field.time.pattern else ''}"


def _source(field: Field) -> str:
    """Where the value is, if not at the key with the field's name."""
    if not field.source:
        return ""
    first, *rest = field.source
    if not rest:
        return plain(first)
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{plain(step)}" for step in field.source)
    return f"${steps}"
