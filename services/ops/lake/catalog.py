"""Where the lake's tables are, and how each of them is made and grows with its contract.

    no table --create--> without columns --first schema--> with the contract's columns --> partitioned --> evolved ...

Each arrow is a commit of its own, so that ids are the contract's and not fresh ones; whoever stops in between goes on
there. No file is in a table before it is partitioned.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.utils import get_environ_proxies
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io import S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_SESSION_TOKEN, FileIO
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    SetCurrentSchemaUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
)
from pyiceberg.typedef import EMPTY_DICT, Properties

from services.ops.lake.clocks import InOrder
from services.ops.lake.schema import evolved, partition_spec, table_schema
from services.shared.aws import aws_client
from services.shared.contract.model import Contract
from services.shared.errors import Terminal
from services.shared.identities import LAKE_ROOT

PROPERTIES: Mapping[str, str] = {
    "format-version": "2",
    "gc.enabled": "false",  # Silver's files are not the table's to delete
    TableProperties.COMMIT_NUM_RETRIES: "0",  # a lost race is looked at again, never repeated blindly
    TableProperties.MANIFEST_MERGE_ENABLED: "true",
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX: "20",
    TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: "false",  # maintenance does
}


class NotOurTable(Terminal):
    """A table of this name that smelt did not make."""


# How Arrow, by which PyIceberg reads and writes files, finds and renews credentials by itself, in botocore's words.
_ARROW_FINDS = {
    "env",
    "shared-credentials-file",
    "config-file",
    "custom-process",
    "assume-role-with-web-identity",
    "container-role",
    "iam-role",
}

_WAITS = (1, 2, 4)  # seconds at most, before a commit that Glue has throttled is sent again


class _Glue(InOrder, GlueCatalog):
    """AWS Glue's catalog. boto3's credentials are those of its files, too.

    What it asks is asked again where Glue throttles or a connection is gone, as always. But a commit whose answer was
    lost is never sent again: the second one looks like a lost race, and then PyIceberg deletes the manifests of what
    has landed. One that Glue has throttled has not landed.
    """

    def __init__(self, region: str | None) -> None:
        client = aws_client("glue", region)
        region = client.meta.region_name
        super().__init__("smelt", client=client, **file_settings(region))
        once = client.meta.config.merge(Config(retries={"total_max_attempts": 1}, read_timeout=60))
        self._commits = GlueCatalog("smelt", client=boto3.client("glue", region_name=region, config=once))

    def _update_glue_table(self, database_name: str, table_name: str, table_input: Any, version_id: str) -> None:
        for wait in (*_WAITS, None):
            try:
                return self._commits._update_glue_table(database_name, table_name, table_input, version_id)
            except ClientError as error:
                if wait is None or error.response["Error"]["Code"] != "ThrottlingException":
                    raise
            time.sleep(wait * random.uniform(0.5, 1))
        return None

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return super()._load_file_io({**_credentials(), **properties}, location)


def glue_catalog(region: str | None = None) -> Catalog:
    """AWS Glue's catalog, at AWS_ENDPOINT_URL if that is set."""
    return _Glue(region)


def file_settings(region: str = "") -> dict[str, str]:
    """How PyIceberg reaches S3: as boto3 does. Without a region it asks for that of each bucket."""
    known = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    of_region = {"s3.region": known} if known else {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return {"s3.endpoint": endpoint, "s3.force-virtual-addressing": "false", **of_region}
    proxy = get_environ_proxies(f"https://s3.{known or 'us-east-1'}.amazonaws.com").get("https")
    return of_region | ({"s3.proxy-uri": proxy if "://" in proxy else f"http://{proxy}"} if proxy else {})


def _credentials() -> dict[str, str]:
    """Those that Arrow would not find, as of now: of a profile that takes on a role, or signs in.

    Without them, it would ask as nobody.
    """
    found = boto3.DEFAULT_SESSION.get_credentials() if boto3.DEFAULT_SESSION else None
    if found is None or found.method in _ARROW_FINDS:
        return {}
    now = found.get_frozen_credentials()
    names = (S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_SESSION_TOKEN)
    return {name: value for name, value in zip(names, now, strict=False) if value}


def sqlite_catalog(file: Path, **settings: str) -> Catalog:
    """A catalog in a file on this machine. The folder must exist."""
    from pyiceberg.catalog.sql import SqlCatalog  # functions have no SQLAlchemy

    class _Sql(InOrder, SqlCatalog):
        """A catalog in a file."""

    return _Sql("smelt", uri=f"sqlite:///{file.resolve()}", **{**file_settings(), **settings})


class LakeCatalog:
    """The tables of one database. `root` is what stands before a key in an address, such as `s3://bucket/`."""

    def __init__(self, catalog: Catalog, database: str, root: str) -> None:
        self._catalog, self._database, self.root = catalog, database, root

    def find(self, dataset: str) -> Table | None:
        """The dataset's table as it is now; None where there is none that has columns and partitions."""
        try:
            table = self._catalog.load_table((self._database, dataset))
        except NoSuchTableError:
            return None
        self._check_ours(table, dataset)
        return table if table.schema().fields and table.spec().fields else None

    def ensure(self, contract: Contract) -> Table:
        """The dataset's table, made or evolved as its contract says.

        Raises:
            SchemaConflict: it cannot become that.
            NotOurTable: another table has the name.
            CommitFailedException: somebody else changes it now; try again.
        """
        table = self._load_or_create(contract.dataset)
        schema = table.schema()
        wanted = evolved(schema, contract) if schema.fields else table_schema(contract, schema.schema_id + 1)
        if wanted is not None:
            self._commit_schema(table, wanted)
            table = table.refresh()
        if not table.spec().fields:
            self._catalog.commit_table(
                table,
                (AssertDefaultSpecId.model_validate({"default-spec-id": table.spec().spec_id}),),
                (
                    AddPartitionSpecUpdate(spec=partition_spec(contract, table.schema())),
                    SetDefaultSpecUpdate(),
                ),
            )
            table = table.refresh()
        missing = {name: value for name, value in _kept(PROPERTIES).items() if table.properties.get(name) != value}
        if missing:
            self._catalog.commit_table(table, (), (SetPropertiesUpdate(updates=missing),))
            table = table.refresh()
        return table

    def grow(self, table: Table, schema: Schema) -> None:
        """Give a table another schema, which has all of its columns.

        Raises:
            CommitFailedException: somebody else has given it one; try again.
        """
        self._commit_schema(table, schema)

    def _load_or_create(self, dataset: str) -> Table:
        name = (self._database, dataset)
        try:
            table = self._catalog.load_table(name)
        except NoSuchTableError:
            try:
                table = self._create(dataset)
            except NoSuchNamespaceError:  # on AWS, Terraform has made the database
                with suppress(NamespaceAlreadyExistsError):
                    self._catalog.create_namespace(self._database)
                table = self._create(dataset)
        self._check_ours(table, dataset)
        return table

    def _create(self, dataset: str) -> Table:
        try:
            return self._catalog.create_table(
                (self._database, dataset), Schema(), location=self._location(dataset), properties=dict(PROPERTIES)
            )
        except TableAlreadyExistsError as error:
            raise CommitFailedException(f"somebody else has just made the table {dataset}") from error

    def _location(self, dataset: str) -> str:
        return f"{self.root}{LAKE_ROOT}/{dataset}"

    def _check_ours(self, table: Table, dataset: str) -> None:
        if table.location() != self._location(dataset):
            raise NotOurTable(
                f"the table {self._database}.{dataset} lies in {table.location()}, not in {self._location(dataset)}: "
                "another program, or another pipeline, made it. Give the lake another database"
            )

    def _commit_schema(self, table: Table, schema: Schema) -> None:
        self._catalog.commit_table(
            table,
            (AssertCurrentSchemaId.model_validate({"current-schema-id": table.schema().schema_id}),),
            (AddSchemaUpdate.model_validate({"schema": schema}), SetCurrentSchemaUpdate()),
        )


def _kept(properties: Mapping[str, str]) -> dict[str, str]:
    """Those that a table keeps among its properties."""
    return {name: value for name, value in properties.items() if name != "format-version"}
