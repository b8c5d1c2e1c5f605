"""What Athena's tables would not show: days before the first one that they have, and datasets that they lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import ABSENT, DENIED, Clients, Finding, Level, code_of

_VARIABLES = {"silver": "glue_first_day"}  # the others begin at glue_first_load_day
_DATASETS = {"silver": "record_type", "quarantine": "dataset"}  # table -> the partition key that is a folder


def hidden_rows(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Files that lie where a planned table does not look. One listing of one key for each dataset of each table."""
    for change in plan["resource_changes"]:
        after = change["change"].get("after") or {}
        parameters = after.get("parameters") or {}
        if change["type"] != "aws_glue_catalog_table" or "storage.location.template" not in parameters:
            continue
        location = after["storage_descriptor"][0].get("location") or ""  # not known before the bucket exists
        bucket, _, root = location.removeprefix("s3://").partition("/")
        if not bucket:
            continue
        try:
            yield from _hidden(clients("s3"), bucket, root, after["name"], parameters)
        except ClientError as error:
            if code_of(error) in DENIED:
                what = f"no permission to list {root} of the bucket {bucket}"
                yield Finding(Level.UNCHECKED, after["name"], what, "rows of early days may be in no query")
            elif code_of(error) not in ABSENT:  # no bucket yet: nothing is hidden
                raise


def _hidden(s3: Any, bucket: str, root: str, table: str, parameters: Mapping[str, str]) -> Iterator[Finding]:
    first_day = parameters["projection.dt.range"].split(",")[0]
    variable = _VARIABLES.get(table, "glue_first_load_day")
    folders = [root]
    if table in _DATASETS:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=root, Delimiter="/").get("CommonPrefixes", [])
        folders = [entry["Prefix"] for entry in found]
        shown = set(parameters[f"projection.{_DATASETS[table]}.values"].split(","))
        for folder in folders:
            dataset = folder.removeprefix(root).rstrip("/")
            if dataset not in shown:
                what = f"{folder} has files, which no query of the table {table} will see: it is not among its datasets"
                advice = (
                    "keep its contract, with status: retired, and take it out of glue_left_out_datasets; or leave it"
                )
                yield Finding(Level.WARNING, table, what, advice)
    for folder in folders:
        earliest = s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}dt=", MaxKeys=1).get("Contents", [])
        for entry in earliest:  # in the order of keys, which is that of days
            day = entry["Key"].removeprefix(f"{folder}dt=")[:10]
            if day < first_day:
                what = f"{folder} has files since {day}, but the table {table} begins with {first_day}"
                yield Finding(Level.WARNING, variable, what, f'set {variable} = "{day}" if those rows are to be seen')
