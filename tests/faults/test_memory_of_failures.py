"""A failure is kept until its delivery ends; the rows and files of what failed are not."""

from __future__ import annotations

import gc

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.lake import ByteStream, LakeForbidden, LakeUnavailable
from services.shared.units import BronzeObject
from services.transform.protocol.execution import Execution
from tests.faults.rig import Rig, shipment
from tests.support.lake import MemoryLake


class WithoutWriting(MemoryLake):
    """Refuses every file, as S3 does where a policy is wrong."""

    def put(self, key: str, data: bytes) -> str:
        raise LakeForbidden(f"{key}: AccessDenied ({len(data)} bytes)")


class WithoutReading(MemoryLake):
    """Serves nothing, as S3 does in an outage."""

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        raise LakeUnavailable(f"{source.id}: 503 ({start}-{end})")


@pytest.mark.parametrize("lake", [WithoutWriting, WithoutReading])
def test_lots_that_failed_one_after_the_other_leave_no_rows_in_memory(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], lake: type[MemoryLake]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1 << 20, lake=lake())
    for number in range(3):
        rig.upload("shipments", [shipment(number)])

    results = [rig.deliver([unit]) for unit in rig.units]

    assert [len(result.failed) for result in results if result] == [1, 1, 1]
    gc.collect()
    assert not [found for found in gc.get_objects() if isinstance(found, Execution)]
