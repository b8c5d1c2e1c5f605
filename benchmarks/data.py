"""The benchmark's files: the same bytes on every machine, made once and kept in a cache folder.

Two datasets of JSON lines, their event times in random order over five days: `shipments` as it ships, and `wide`, 40
columns with nested values, nulls and absent keys. Variants of shipments hold 1 % bad rows, one unknown field in
every row, the keys of every row in a random order of its own (`shuffled`; `wide-shuffled` is that of `wide`), other
keys than the contract's names (`renamed`), or three of the values in an object of their own (`inside`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract, Field, FieldType

SHIPMENTS = load_contracts(Path(__file__).parent.parent / "contracts")["shipments"]
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 5
BAD_EVERY = 100

_CITIES = ("Hamburg", "Rotterdam", "Oslo", "Gdansk", "Lyon", "Vienna", "Madrid", "Bergen", "Turin", "Cork")
_CARRIERS = ("DHL", "UPS", "FedEx", "GLS", "DB Schenker")

_COUNTS = tuple(f"count_{number}" for number in range(8))
_RATIOS = tuple(f"ratio_{number}" for number in range(6))
_PRICES = tuple(f"price_{number}" for number in range(4))
_LABELS = tuple(f"label_{number}" for number in range(8))
_FLAGS = tuple(f"is_{number}" for number in range(3))

WIDE = Contract(
    dataset="wide",
    version="1.0.0",
    fields=(
        Field("event_time", FieldType.TIMESTAMP, required=True),
        Field("order_id", FieldType.STRING, required=True),
        *(Field(name, FieldType.INTEGER) for name in _COUNTS),
        *(Field(name, FieldType.NUMBER) for name in _RATIOS),
        *(Field(name, FieldType.DECIMAL, precision=12, scale=2) for name in _PRICES),
        *(Field(name, FieldType.STRING) for name in _LABELS),
        *(Field(name, FieldType.BOOLEAN) for name in _FLAGS),
        Field("ship_date", FieldType.DATE),
        Field("updated_at", FieldType.TIMESTAMP),
        Field("note", FieldType.STRING),
        Field("email", FieldType.STRING),
        Field("customer", FieldType.OBJECT),
        Field("address", FieldType.OBJECT),
        Field("lines", FieldType.ARRAY),
        Field("tags", FieldType.ARRAY),
    ),
    event_time="event_time",
    keys=("order_id",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)

_INSIDE = ("origin", "destination", "carrier")  # what `inside` has in an object of its own


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


RENAMED = replace(
    SHIPMENTS,
    dataset="renamed",
    fields=tuple(replace(field, source=(_camel(field.name),)) for field in SHIPMENTS.fields),
)
INSIDE = replace(
    SHIPMENTS,
    dataset="inside",
    fields=tuple(
        replace(field, source=("route", field.name)) if field.name in _INSIDE else field for field in SHIPMENTS.fields
    ),
)
CONTRACTS = {"shipments": SHIPMENTS, "wide": WIDE, "renamed": RENAMED, "inside": INSIDE}


def jsonl(variant: str, rows: int, folder: Path) -> Path:
    """The file of a variant (`shipments`, `renamed`, ..., see `VARIANTS` of `transform`) with so many rows."""
    path = folder / f"{variant}-{rows}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("w") as out:
            out.writelines(f"{line}\n" for line in _lines(variant, rows))
        unfinished.rename(path)
    return path


def _lines(variant: str, rows: int) -> Iterator[str]:
    chance = random.Random(20260301)
    make: Callable[[random.Random], dict[str, Any]] = _wide_row if variant.startswith("wide") else _shipment
    for number in range(rows):
        row = make(chance)
        if variant == "drift":
            row["customs_code"] = f"C{chance.randrange(1000):03}"
        if variant == "renamed":
            row = {_camel(key) if key != "record_type" else key: value for key, value in row.items()}
        if variant == "inside":
            row["route"] = {key: row.pop(key) for key in _INSIDE}
        if variant in ("renamed", "inside"):
            row["record_type"] = variant
        if variant.endswith("shuffled"):
            row = dict(chance.sample(list(row.items()), len(row)))
        line = json.dumps(row)
        yield _spoilt(line, number // BAD_EVERY) if variant == "bad" and number % BAD_EVERY == 0 else line


def _time(chance: random.Random) -> str:
    moment = START + timedelta(milliseconds=chance.randrange(DAYS * 86_400_000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shipment(chance: random.Random) -> dict[str, Any]:
    return {
        "record_type": "shipments",
        "event_time": _time(chance),
        "shipment_id": f"SHP-{chance.getrandbits(40):010x}",
        "origin": chance.choice(_CITIES),
        "destination": chance.choice(_CITIES),
        "carrier": chance.choice(_CARRIERS),
        "weight_kg": round(chance.uniform(0.1, 900), 2),
    }


def _spoilt(line: str, kind: int) -> str:
    """A line with one of six faults."""
    faults = (
        lambda: line[:-9],
        lambda: line.replace('"weight_kg": ', '"weight_kg": "heavy", "weight": '),
        lambda: line.replace('"origin"', '"origin_city"'),
        lambda: line.replace('"2026-03-0', '"2026-13-0'),
        lambda: line.replace('"2026-03-0', '"1926-03-0'),
        lambda: line.replace('"carrier"', '"origin"'),
    )
    return faults[kind % len(faults)]()


def _wide_row(chance: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {"event_time": _time(chance), "order_id": f"ORD-{chance.getrandbits(48):012x}"}
    row |= {name: chance.randrange(10**place) for place, name in enumerate(_COUNTS, 1)}
    row |= {name: round(chance.gauss(0, 50), 6) for name in _RATIOS}
    row |= {name: round(chance.uniform(0, 5000), 2) for name in _PRICES}
    row |= {name: f"{name}-{chance.randrange(4**place)}" for place, name in enumerate(_LABELS, 1)}
    row |= {name: chance.random() < 0.5 for name in _FLAGS}
    row["ship_date"] = (START + timedelta(days=chance.randrange(60))).date().isoformat()
    row["updated_at"] = _time(chance)
    row["note"] = " ".join(chance.choices(_CITIES, k=8))
    row["email"] = f"user{chance.randrange(10**7)}@example.com"
    row["customer"] = {
        "id": chance.randrange(10**6),
        "name": chance.choice(_CITIES),
        "tier": {"level": chance.randrange(5)},
    }
    row["address"] = {"street": f"{chance.randrange(200)} Main St", "city": chance.choice(_CITIES), "geo": [5.25, 52.5]}
    row["lines"] = [
        {
            "sku": f"SKU{chance.randrange(10**4)}",
            "quantity": chance.randrange(1, 9),
            "price": round(chance.uniform(1, 99), 2),
        }
        for _ in range(chance.randrange(1, 5))
    ]
    row["tags"] = chance.sample(_CARRIERS, k=chance.randrange(4))
    for name in ("ratio_0", "label_7", "email", "address"):
        if chance.random() < 0.05:
            row[name] = None
    for name in ("count_7", "note"):
        if chance.random() < 0.1:
            del row[name]
    return row


def _line(chance: random.Random) -> dict[str, Any]:
    price = round(chance.uniform(1, 99), 2)
    return {"sku": f"SKU{chance.randrange(10**4)}", "quantity": chance.randrange(1, 9), "price": price}
