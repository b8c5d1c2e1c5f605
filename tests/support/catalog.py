"""The catalog's tables, made by Terraform on the embedded emulator, and files that the real transform writes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from infra.terraform.tools.record_permissions import copy_terraform
from local.generator import Request, events
from local.ministack import ROOT
from services.shared.contract.model import Contract
from services.shared.identities import LotId
from services.shared.parquet.encode import encode
from services.shared.units import BronzeObject, Plan
from services.transform.blocks import lines_block
from services.transform.files.buffer import RowBuffer
from services.transform.rows.parser import RowParser
from tests.support.terraform import EMULATED, TERRAFORM, need_terraform

NESTED = Path(__file__).parent / "contracts/orders.yaml"
FLIGHTS = ROOT / "examples/flights/flights.yaml"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
REGION = "us-east-2"
BUCKET = "catalog-silver"
ORDER = b"""{"placed_on": "2021-03-04", "order_id": "o1", "paid": true, "total": 12.5, "share": 0.5, "pieces": 3,\
"customer": {"id": 7, "homeTown": "Oslo", "born": "1990-01-02", "seenAt": "2021-03-01T00:00:00.5Z", "tags": ["x"]},\
"lines": [{"sku": "s", "price": 1.5, "parts": [{"name": "p", "raw": {"a": 1}}]}], "notes": ["n"], "extra": {"b": 2}}
"""

_TEST_ROOT = """
provider "aws" {
  region                      = "us-east-2"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false
}

module "catalog" {
  source = "../../modules/catalog"

  project                = "smelt-catalog"
  silver_bucket          = "catalog-silver"
  silver_bucket_arn      = "arn:aws:s3:::catalog-silver"
  contracts_dir          = "%s"
  queries_dir            = "%s"
  analyst_policy_enabled = true
  kms_key_arn            = "%s"
}
"""


def every_contract(folder: Path) -> Path:
    """A folder with all contracts that ship, the example's, and one with structs and lists."""
    folder.mkdir(exist_ok=True)
    for file in (*(ROOT / "contracts").glob("*.yaml"), FLIGHTS, NESTED):
        shutil.copy(file, folder)
    return folder


class AppliedCatalog:
    """modules/catalog, applied to an emulator from a copy of infra/terraform."""

    def __init__(self, contracts: Path, endpoint: str, scratch: Path, key: str = "") -> None:
        need_terraform()
        copy_terraform(scratch / "terraform")
        self._root = scratch / "terraform/test/catalog"
        self._root.mkdir(parents=True)
        (self._root / "main.tf").write_text(_TEST_ROOT % (contracts, ROOT / "sql/athena", key))
        self._environment = os.environ | EMULATED | {"AWS_ENDPOINT_URL": endpoint, "CHECKPOINT_DISABLE": "1"}
        self.run("init", "-input=false")

    def run(self, *arguments: str) -> str:
        """Terraform's output; it must succeed."""
        command: list[str | Path] = [TERRAFORM, os.path.relpath(self._root, ROOT), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @staticmethod
    def client(service: str, endpoint: str) -> Any:
        """A client for what was made."""
        return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **CREDENTIALS)

    def plan(self) -> dict[str, Any]:
        """What would be made, as `terraform show -json` tells it."""
        self.run("plan", "-input=false", "-out=test.tfplan")
        planned: dict[str, Any] = json.loads(self.run("show", "-json", "test.tfplan"))
        return planned


@contextmanager
def applied_catalog(contracts: Path, endpoint: str, scratch: Path) -> Iterator[AppliedCatalog]:
    """The catalog of a folder of contracts; it is destroyed afterwards."""
    catalog = AppliedCatalog(contracts, endpoint, scratch)
    catalog.run("apply", "-input=false", "-auto-approve")
    yield catalog
    catalog.run("destroy", "-input=false", "-auto-approve")


def written_file(contract: Contract, contracts: Mapping[str, Contract]) -> bytes:
    """A Silver file of a dataset, of made-up rows, as the transform parses and writes them."""
    if contract.dataset == "orders":
        return written_from(ORDER, contract, contracts)
    day = max(contract.earliest, datetime(2021, 3, 4, tzinfo=UTC))
    asked = Request(40, day, day + timedelta(hours=23), seed=7)
    return written_from(b"".join(row + b"\n" for row in events(contract, asked)), contract, contracts)


def written_from(lines: bytes, contract: Contract, contracts: Mapping[str, Contract]) -> bytes:
    """The one Silver file of JSON lines, which must all be good and of one day."""
    created = datetime.now(UTC)
    source = BronzeObject("bronze", f"bronze/{contract.dataset}/a.jsonl", len(lines), "e" * 32, None, created)
    (unit,) = Plan.of(source, 2**26)
    buffer = RowBuffer()
    parsed = RowParser(contracts).parse(lines_block(lines, 0), contract.dataset, created)
    assert parsed.quarantine.num_rows == 0, parsed.quarantine.to_pylist()[:3]
    buffer.add(0, parsed, len(lines))
    ((_, data, _),) = encode(*buffer.take([unit]), contracts, LotId.new(created), "0" * 8, 0)
    return data


def file_schema(data: bytes) -> pa.Schema:
    """The Arrow schema of a Parquet file, with field ids."""
    return pq.read_schema(io.BytesIO(data))
