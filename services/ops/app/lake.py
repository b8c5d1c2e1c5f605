"""What the handlers of the lake's functions share: its catalog, its bucket and the contracts, made once."""

from __future__ import annotations

import os
from functools import cache

from services.ops.app import pipeline
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.opening import GLUE, open_lake
from services.ops.lake.store import S3Store
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.settings import SettingsError


@cache
def lake() -> tuple[LakeCatalog, S3Store]:
    settings = pipeline.settings()
    if not settings.lake_database:
        raise SettingsError("the environment variable LAKE_DATABASE is missing; set it on the function")
    catalog = os.environ.get("LAKE_CATALOG", GLUE)
    return open_lake(pipeline.s3(), settings.silver_bucket, settings.lake_database, catalog)


@cache
def contracts() -> dict[str, Contract]:
    return load_contracts(pipeline.settings().contracts_dir)
