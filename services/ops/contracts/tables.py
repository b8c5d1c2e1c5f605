"""What a contract would be as a table in Athena, and what stands in its way. Terraform refuses the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.ops.contracts.findings import Finding, Level
from services.shared.athena import MAX_LEVELS, OWN_TABLES, RESERVED_WORDS, conflicts, levels
from services.shared.columns import column_of
from services.shared.contract.model import Contract


def table_problems(contract: Contract) -> Iterator[tuple[str, str]]:
    """What makes a table impossible: where (`schema` or a field), and what."""
    if contract.dataset in OWN_TABLES:
        yield "schema", f"name: {contract.dataset} is the name of a table of ours; give the dataset another name"
    for field in contract.fields:
        if levels(column_of(field)) > MAX_LEVELS:
            what = f"structs and lists are more than {MAX_LEVELS} levels deep, which the tables do not have"
            yield field.name, f"{field.name}: {what}; store what is inside as JSON text (no physicalType)"


def table_notices(contract: Contract) -> Iterator[tuple[str, str]]:
    """What people who query should know: where, and what."""
    for name in (contract.dataset, *(field.name for field in contract.fields)):
        if name in RESERVED_WORDS:
            where = "schema" if name == contract.dataset else name
            yield where, f'{name}: is a word of SQL; queries in Athena must write "{name}", in double quotes'


def shared_names(contracts: Iterable[Contract]) -> Iterator[Finding]:
    """Columns that have several types in several datasets; it is said of the last dataset by name."""
    for name, types in conflicts(contracts):
        told = ", ".join(f"{kind} in {dataset}" for dataset, kind in types.items())
        what = (
            f"{name} is {told}, but the table silver of all datasets has one type for it: glue_enabled will be "
            "refused. Give the field of the newer dataset another name (physicalName says where its value is), or "
            "leave a dataset out of silver (glue_left_out_datasets)"
        )
        yield Finding(sorted(types)[-1], Level.NOTICE, what)
