"""Deliveries to transform: what is done, what goes back, and what is found in the lake and the ledger afterwards."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow.parquet as pq
import pytest

from local.stack import Clients
from services.shared.columns import silver_columns
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import LakeKey, LotId
from services.shared.lake import ObjectGone, S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from services.transform import app
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor, DeliveryResult
from services.transform.protocol.execution import ConservationError
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader, UnreadableUnit
from services.transform.rows.parser import Parsed, RowParser
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import BRONZE, CREATED, SILVER
from tests.support.queue import records
from tests.support.readers import MisbehavingReader


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    return Rig(clients.dynamodb, ledger_table, contracts)


def processor(rig: Rig, max_row_bytes: int = 4096) -> DeliveryProcessor:
    ledger = Ledger(rig.dynamodb, rig.table, clock=rig.clock)
    worker = LotWorker(rig.lake, ledger, rig.contracts, 2 << 20, UnitReader(rig.lake, max_row_bytes), rig.clock)
    return DeliveryProcessor(worker, ledger, DeadLetterQueue(rig.dead_letters, "dead-letters"), BRONZE, SILVER)  # type: ignore[arg-type]


def deliver(rig: Rig, batch: list[dict[str, Any]], seconds: float = 60) -> DeliveryResult:
    return processor(rig).process(batch, Deadline(lambda: seconds, 15))


class TestMessages:
    def test_the_same_unit_in_two_messages_of_a_delivery_is_done_once(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)])
        result = deliver(rig, records(rig.units * 2))
        assert result.response == {"batchItemFailures": []}
        rig.check_exactly_once()

    def test_a_unit_that_is_delivered_again_is_acknowledged_as_a_duplicate(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)])
        deliver(rig, records(rig.units))
        again = deliver(rig, records(rig.units))
        assert (again.duplicates, again.reports, again.failed) == (1, [], {})
        rig.check_exactly_once()

    def test_no_messages_are_no_work(self, rig: Rig) -> None:
        assert deliver(rig, []).response == {"batchItemFailures": []}


class TestUnits:
    def test_small_objects_coalesce_into_one_lot(self, rig: Rig) -> None:
        for number in range(120):
            rig.upload("shipments", [shipment(number)])
        result = deliver(rig, records(rig.units))
        assert [len(report.units) for report in result.reports] == [99, 21]  # a transaction holds a lot and 99 units
        assert len(rig.lake.files) == 2
        rig.check_exactly_once()

    def test_an_unreadable_unit_fails_alone_and_leaves_its_reason(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)])
        broken = rig.plan(rig.lake.upload("bronze/shipments/broken.jsonl.gz", gzip.compress(shipment(2) * 100)[:-9]))
        result = deliver(rig, records(rig.units))
        assert isinstance(result.failed["m1"], UnreadableUnit)
        assert list(result.failed) == ["m1"]
        (note,) = [notes for unit, notes in rig.look_up().notes.items() if unit.object == broken.id]
        assert "cut short" in note.last_error
        assert note.attempts == 1
        rig.forget(broken)
        rig.check_exactly_once()

    def test_an_object_that_is_gone_fails_alone(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)])
        gone = rig.plan(BronzeObject(BRONZE, "bronze/shipments/gone.jsonl", 10, "e", None, CREATED))
        result = deliver(rig, records(rig.units))
        assert isinstance(result.failed["m1"], ObjectGone)
        rig.forget(gone)
        rig.check_exactly_once()

    def test_a_unit_without_rows_is_committed_without_files(self, rig: Rig) -> None:
        rig.upload("shipments", [b"", b"", b" "])
        rig.expected.clear()
        assert deliver(rig, records(rig.units)).failed == {}
        assert rig.lake.files == {}
        rig.check_exactly_once()

    def test_work_for_which_no_time_is_left_goes_back_untouched(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)])
        result = deliver(rig, records(rig.units), seconds=15)
        assert isinstance(result.failed["m0"], OutOfTime)
        assert rig.lake.files == {}
        assert not rig.look_up().notes

    def test_when_time_runs_out_in_the_middle_what_is_read_is_committed_and_the_rest_goes_back(self, rig: Rig) -> None:
        for number in range(3):
            rig.upload("shipments", [shipment(number)])
        rig.reader = lambda lake: MisbehavingReader(lake, {rig.name: partial(rig.clock.advance, 25)})
        result = rig.deliver(rig.units)
        assert result is not None
        done = rig.acknowledged(rig.units, result)
        assert 0 < len(done) < 3
        rig.drain([unit for unit in rig.units if unit not in done])
        rig.check_exactly_once()


class TestFiles:
    def test_rows_go_to_the_dataset_and_day_that_they_name(self, rig: Rig) -> None:
        other = {"event_time": "2026-01-02T23:59:59-01:00", "shipment_id": "S", "status": "SENT"}
        rig.upload("shipments", [shipment(1), json.dumps(other | {"record_type": "tracking_events"}).encode(), b"{"])
        deliver(rig, records(rig.units))
        found = sorted((key.root, key.record_type, key.dt) for key in map(LakeKey.parse, rig.lake.files))
        assert [entry[:2] for entry in found] == [
            ("quarantine", "shipments"),
            ("silver", "shipments"),
            ("silver", "tracking_events"),
        ]
        assert [entry[2] for entry in found[1:]] == ["2026-01-01", "2026-01-03"]

    def test_a_file_is_sorted_by_event_time_and_says_where_it_comes_from(
        self, rig: Rig, contracts: dict[str, Contract]
    ) -> None:
        rig.upload("shipments", [shipment(number) for number in (3, 1, 2)])
        (report,) = deliver(rig, records(rig.units)).reports
        ((key, data),) = rig.lake.files.items()
        file = pq.ParquetFile(io.BytesIO(data))
        assert file.schema_arrow.names == [column.name for column in silver_columns(contracts["shipments"])]
        times = file.read()["event_time"].to_pylist()
        assert times == sorted(times)
        metadata = file.metadata.metadata
        assert metadata[b"smelt.lot"].decode() == str(report.lot.id) == str(LakeKey.parse(key).lot)
        assert metadata[b"smelt.contract_version"] == b"1.0.0"
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"

    def test_an_unknown_field_is_rescued_and_counted(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(1)[:-1] + b', "new_field": {"a": 1.10}}', shipment(2)])
        (report,) = deliver(rig, records(rig.units)).reports
        assert report.rescued == 1
        assert sorted(str(row["_rescued"]) for row in rig.lake.rows("silver")) == ["None", '{"new_field":{"a": 1.10}}']

    def test_rows_of_no_dataset_stand_in_quarantine_under_unknown(self, rig: Rig) -> None:
        rig.upload("nonsense", [shipment(1)])
        deliver(rig, records(rig.units))
        assert [LakeKey.parse(key).record_type for key in rig.lake.files] == ["_unknown"]
        (row,) = rig.lake.rows("quarantine")
        assert (row["record_type"], row["reason"]) == ("nonsense", "unknown_record_type")


class TestAnotherContractVersion:
    def test_a_lot_that_is_executed_again_under_it_leaves_no_file_of_the_first_execution(
        self, rig: Rig, contracts: dict[str, Contract]
    ) -> None:
        rig.upload("shipments", [shipment(1, day=1), shipment(2, day=2)])
        watch = Interrupter(at=0)
        assert rig.deliver(rig.units, Interrupter(first="update_item", before=True, action=crash)) is None
        assert len(rig.lake.files) == 2
        narrow = replace(contracts["shipments"], version="2.0.0", earliest=CREATED.replace(day=2, hour=0))
        rig.contracts = contracts | {"shipments": narrow}
        rig.clock.advance(2 * INVOCATION_SECONDS)
        rig.deliver(rig.units, watch)
        assert "delete" in watch.calls
        assert sorted((key.root, key.dt) for key in map(LakeKey.parse, rig.lake.files))[-1] == ("silver", "2026-01-02")
        assert not any("dt=2026-01-01" in key for key in rig.lake.files)
        rig.check_exactly_once()


class TestConservation:
    def test_a_lot_whose_rows_do_not_add_up_is_not_committed(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.upload("shipments", [shipment(1)])
        parse = RowParser.parse

        def losing(self: RowParser, *args: Any) -> Parsed:
            parsed = parse(self, *args)
            return parsed._replace(rows_read=parsed.rows_read + 1)

        monkeypatch.setattr(RowParser, "parse", losing)
        result = deliver(rig, records(rig.units))
        assert isinstance(result.failed["m0"], ConservationError)
        assert rig.lake.files == {}  # it was dissolved: nothing half done is left behind


class TestOnS3:
    @pytest.fixture
    def lake(self, clients: Clients) -> S3Lake:
        for bucket in ("bronze-bucket", "silver-bucket"):
            if bucket not in {entry["Name"] for entry in clients.s3.list_buckets()["Buckets"]}:
                clients.s3.create_bucket(Bucket=bucket)
        return S3Lake(clients.s3, "silver-bucket")

    def put(self, clients: Clients, key: str, data: bytes) -> BronzeObject:
        etag = clients.s3.put_object(Bucket="bronze-bucket", Key=key, Body=data)["ETag"].strip('"')
        return BronzeObject("bronze-bucket", key, len(data), etag, None, CREATED)

    def test_a_range_is_read_of_exactly_the_version_that_the_event_named(self, clients: Clients, lake: S3Lake) -> None:
        source = self.put(clients, "bronze/shipments/a.jsonl", b"0123456789")
        stream = lake.open(source, 2, 6)
        assert stream.read(3) + stream.read(100) == b"2345"
        assert stream.read(1) == b""

    def test_an_object_that_was_overwritten_or_deleted_is_gone(self, clients: Clients, lake: S3Lake) -> None:
        source = self.put(clients, "bronze/shipments/b.jsonl", b"old")
        self.put(clients, "bronze/shipments/b.jsonl", b"new")
        with pytest.raises(ObjectGone, match="another one than was announced"):
            lake.open(source, 0, 3)
        clients.s3.delete_object(Bucket="bronze-bucket", Key="bronze/shipments/b.jsonl")
        with pytest.raises(ObjectGone, match="deleted"):
            lake.open(source, 0, 3)

    def test_an_old_version_in_a_versioned_bucket_can_still_be_read(self, clients: Clients, lake: S3Lake) -> None:
        if "versioned-bucket" not in {entry["Name"] for entry in clients.s3.list_buckets()["Buckets"]}:
            clients.s3.create_bucket(Bucket="versioned-bucket")
        clients.s3.put_bucket_versioning(Bucket="versioned-bucket", VersioningConfiguration={"Status": "Enabled"})
        key = "bronze/shipments/c.jsonl"
        old = clients.s3.put_object(Bucket="versioned-bucket", Key=key, Body=b"old")
        clients.s3.put_object(Bucket="versioned-bucket", Key=key, Body=b"new")
        source = BronzeObject("versioned-bucket", key, 3, old["ETag"].strip('"'), old["VersionId"], CREATED)
        assert lake.open(source, 0, 3).read(3) == b"old"

    def test_files_are_written_and_deleting_a_missing_one_is_fine(self, clients: Clients, lake: S3Lake) -> None:
        key = str(LakeKey("silver", "shipments", "2026-01-01", LotId("20260101T000000Z", "0" * 16), "0" * 8))
        lake.put(key, b"data")
        assert clients.s3.get_object(Bucket="silver-bucket", Key=key)["Body"].read() == b"data"
        lake.delete([key, key])


def test_a_broken_contract_stops_the_function_at_start_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, emulator: str
) -> None:
    (tmp_path / "broken.yaml").write_text("kind: DataContract\n")
    settings = {
        "BRONZE_BUCKET": "b",
        "SILVER_BUCKET": "s",
        "QUEUE_URL": "q",
        "DEAD_LETTER_QUEUE_URL": "d",
        "LEDGER_TABLE": "t",
        "CONTRACTS_DIR": str(tmp_path),
        "AWS_ENDPOINT_URL": emulator,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    app._settings.cache_clear()
    app._processor.cache_clear()
    with pytest.raises(Exception, match=r"broken\.yaml"):
        app._processor()
