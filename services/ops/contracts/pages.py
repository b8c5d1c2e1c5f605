"""A page of Markdown for each dataset, from its contract: what people who query want to know. Writes no file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from services.shared.athena import RESERVED_WORDS, hive_type
from services.shared.columns import Column, silver_columns
from services.shared.contract.model import CREATION, Contract, Field, FieldType, walk
from services.shared.contract.quality import Freshness, QualityRule
from services.shared.contract.sources import path_text
from services.shared.gate.words import limit_in_words, span_in_words, what_is_counted

MARK = "<!-- written by `make docs` from the contract; do not edit -->"
_IN_SILVER = {
    FieldType.STRING: "string",
    FieldType.INTEGER: "int64",
    FieldType.NUMBER: "double",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIMESTAMP: "timestamp, UTC",
    FieldType.ARRAY: "list",
    FieldType.OBJECT: "struct",
}


def dataset_page(contract: Contract, document: Any) -> str:
    """The page of one dataset.

    Args:
        contract: as the loader reads it.
        document: the same file as plain values, for its words to people.
    """
    schema = document["schema"][0]
    return "\n".join(
        [
            MARK,
            f"# {contract.dataset}",
            "",
            _one_line(contract.description),
            "",
            *_table(("", ""), _facts(contract, document, schema)),
            "",
            "## Columns",
            "",
            *_table(
                ("column", "in Silver", "in Athena", "id", "required", "meaning", "examples", "comes from", "class"),
                _columns(contract, schema),
            ),
            "",
            *_rules(contract),
            "## Queries",
            "",
            _queries(contract),
        ]
    )


def index_page(contracts: Sequence[Contract]) -> str:
    """The page that lists the datasets."""
    rows = [
        (f"[{one.dataset}]({one.dataset}.md)", one.version, ", ".join(one.keys), _one_line(one.description))
        for one in contracts
    ]
    return "\n".join(
        [
            MARK,
            "# Datasets",
            "",
            "One page for each contract. [The data guide](../data-guide.md) says which table answers which question.",
            "",
            *_table(("dataset", "version", "key", "a row is"), rows),
            "",
        ]
    )


def _facts(contract: Contract, document: Any, schema: Any) -> Iterator[tuple[str, str]]:
    yield "contract", f"`{contract.file}`, version {contract.version}, {contract.status}"
    for name in ("domain", "tenant"):
        if document.get(name):
            yield name, str(document[name])
    yield (
        "key",
        ", ".join(f"`{name}`" for name in contract.keys) + ": compaction keeps the latest row of each within a day"
        if contract.keys
        else "none: compaction keeps every row",
    )
    if contract.event_time == CREATION:
        yield "event time", "rows say none; `dt` is the day on which their object was created, in UTC"
    else:
        yield "event time", f"`{contract.event_time}`; its day in UTC is `dt`"
        ahead = span_in_words(contract.max_ahead)
        yield "accepted", f"from {contract.earliest:%Y-%m-%d} until {ahead} after the object's creation"
    if contract.rows_path:
        yield "rows", f"the elements of the array at `{path_text(contract.rows_path)}`"
    for word in ("tags", "dataGranularityDescription"):
        if schema.get(word):
            yield word, ", ".join(map(str, schema[word])) if isinstance(schema[word], list) else str(schema[word])
    if contract.retired:
        yield "earlier columns", ", ".join(f"`{path}`" for path, _ in contract.retired) + ": old files still have them"


def _columns(contract: Contract, schema: Any) -> Iterator[tuple[str, ...]]:
    fields = dict(walk(contract.fields))
    words = dict(_words(schema.get("properties", [])))
    for path, column in _parts(silver_columns(contract)):
        field = fields.get(path)
        told = words.get(path, {})
        yield (
            f"`{path}`" + (" (a word of SQL: quote it)" if path in RESERVED_WORDS else ""),
            _in_silver(column, field),
            f"`{hive_type(column)}`" if "." not in path else "",
            str(column.id),
            "" if column.nullable else "yes",
            _one_line(column.meaning),
            ", ".join(_code(_as_json(example)) for example in (field.examples if field else ())),
            f"`{path_text(field.path)}`" if field and "." not in path and field.source else "",
            str(told.get("classification", "")),
        )


def _parts(columns: Sequence[Column], above: str = "") -> Iterator[tuple[str, Column]]:
    """Columns and what is in them, each behind the one that holds it."""
    for column in columns:
        path = f"{above}{column.name}"
        yield path, column
        yield from _parts(column.children, f"{path}.")


def _words(properties: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for entry in properties:
        path = f"{above}{entry.get('name')}"
        yield path, entry
        yield from _words(entry.get("properties", []), f"{path}.")
        if isinstance(entry.get("items"), dict):
            yield from _words([entry["items"] | {"name": "element"}], f"{path}.")


def _in_silver(column: Column, field: Field | None) -> str:
    if column.type is FieldType.DECIMAL:
        return f"decimal({column.precision},{column.scale})"
    if field and field.type in (FieldType.ARRAY, FieldType.OBJECT) and not field.is_nested_column:
        return "JSON text"
    return _IN_SILVER[column.type]


def _rules(contract: Contract) -> Iterator[str]:
    if not contract.quality:
        return
    yield from ("## Quality rules", "", "Of each day; rows are never refused because of them.", "")
    rows = [(what_is_counted(rule, _code), _must_be(rule), _one_line(rule.description)) for rule in contract.quality]
    yield from _table(("what is measured", "must be", "why"), rows)
    yield ""


def _must_be(rule: QualityRule) -> str:
    return f"at most {span_in_words(rule.at_most)}" if isinstance(rule, Freshness) else limit_in_words(rule.limit)


def _code(text: str) -> str:
    return f"`{text}`"


_QUERIES = """\
```sql
-- the day's rows, as soon as they are written
SELECT * FROM silver WHERE record_type = '{dataset}' AND dt = '2026-01-01';
{latest}-- what was refused, and why
SELECT reason, field, detail, raw FROM quarantine WHERE dataset = '{dataset}';
```
"""


_LATEST = """\
-- the latest row of each key
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {latest}) AS _place
  FROM silver WHERE record_type = '{dataset}'
) WHERE _place = 1;
"""


def _queries(contract: Contract) -> str:
    keys = ", ".join(map(_quoted, contract.keys))
    latest = _LATEST.format(keys=keys, latest=_latest_first(contract), dataset=contract.dataset) if keys else ""
    return _QUERIES.format(dataset=contract.dataset, latest=latest)


def _latest_first(contract: Contract) -> str:
    order = ("_created", "_source", "_offset")
    event = () if contract.event_time == CREATION else (contract.event_time,)
    return ", ".join(f"{_quoted(name)} DESC" for name in (*event, *order))


def _quoted(name: str) -> str:
    """A name as queries in Athena write it."""
    return f'"{name}"' if name in RESERVED_WORDS else name


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table without the columns in which nothing stands."""
    body = list(rows)
    kept = [at for at in range(len(head)) if any(row[at] for row in body)]
    yield "| " + " | ".join(head[at] for at in kept) + " |"
    yield "|" + " --- |" * len(kept)
    for row in body:
        yield "| " + " | ".join(row[at].replace("|", "\\|").replace("\n", " ") for at in kept) + " |"
