"""The lake of a pipeline: its catalog and its bucket, from what commands and functions are told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from services.ops.errors import OperatorError
from services.ops.lake.catalog import LakeCatalog, glue_catalog, sqlite_catalog
from services.ops.lake.store import S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

GLUE = "glue"


def open_lake(
    s3: S3Client, bucket: str, database: str, catalog: str = GLUE, region: str | None = None
) -> tuple[LakeCatalog, S3Store]:
    """The tables over a bucket.

    Args:
        database: the catalog's database, such as smelt_dev.
        catalog: `glue`, or the file of a SQLite catalog, for an emulator without Glue.

    Raises:
        OperatorError: the folder of the file is missing.
    """
    store = S3Store(s3, bucket)
    if catalog == GLUE:
        return LakeCatalog(glue_catalog(region), database, store.root), store
    file = Path(catalog)
    if not file.parent.is_dir():
        raise OperatorError(f"The folder {file.parent} is missing: make it, or pass --catalog {GLUE}.")
    return LakeCatalog(sqlite_catalog(file), database, store.root), store
