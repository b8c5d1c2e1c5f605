"""What nobody prepared for: what people do by hand to a pipeline, and the recipes of docs/runbook.md for it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from local.stack import CREDENTIALS, create_ledger
from services.ops.audit.audit import Limits, audit
from services.ops.audit.findings import Code
from services.ops.audit.listings import S3Listings
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.integration.test_audit_runbook import found
from tests.integration.test_runbook import blocks
from tests.integration.test_runbook_recipes import PAGE, OnCall, data, failures, lose, on_call, pipeline  # noqa: F401
from tests.integration.test_runbook_repairs import nobody_is_notified, some_key, state_of, transform_is_paused
from tests.support.running import Running, await_true


def loaded(pipe: Running, *bodies: bytes) -> list[BronzeObject]:
    sources = [pipe.upload(some_key(), body) for body in bodies]
    await_true(lambda: all(state_of(pipe, source) is ObjectState.DONE for source in sources))
    return sources


def files_of(pipe: Running, source: BronzeObject, root: str) -> list[str]:
    return sorted({row["_file"] for row in pipe.rows_of(source) if row["_file"].startswith(root)})


def delete_item(pipe: Running, key: str) -> None:
    pipe.clients.dynamodb.delete_item(TableName=pipe.names.ledger_table, Key={"pk": {"S": key}})


def codes(pipe: Running) -> set[Code]:
    return set(found(pipe.clients, pipe.names).findings.numbers)


def test_a_file_of_silver_that_was_deleted_by_hand(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    (source,) = loaded(pipe, data)
    file, *_ = files_of(pipe, source, "silver")
    pipe.clients.s3.delete_object(Bucket=pipe.names.silver_bucket, Key=file)
    assert codes(pipe) == {Code.FILE_MISSING}
    said = on_call.follow("lost file", FILE=file)
    assert f"{source.id}: taken out and sent" in said
    await_true(lambda: state_of(pipe, source) is ObjectState.DONE)
    on_call.check(source)


def test_a_file_of_silver_that_was_overwritten_and_whose_version_is_there(
    on_call: OnCall,  # noqa: F811
    data: bytes,  # noqa: F811
) -> None:
    pipe, s3 = on_call.pipeline, on_call.pipeline.clients.s3
    (source,) = loaded(pipe, data)
    file, *_ = files_of(pipe, source, "silver")
    version = s3.put_object(Bucket=pipe.names.silver_bucket, Key=file, Body=b"by hand")["VersionId"]
    assert codes(pipe) == {Code.FILE_DIFFERS}
    s3.delete_object(Bucket=pipe.names.silver_bucket, Key=file, VersionId=version)
    on_call.check(source)


def test_dead_letters_that_somebody_purged(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    source = lose(on_call, data)
    pipe.clients.sqs.purge_queue(QueueUrl=on_call.dead)
    with nobody_is_notified(pipe):
        back = pipe.upload(source.key, data)
    pipe.clients.dynamodb.update_item(  # the bytes are back as the version that the ledger names
        TableName=pipe.names.ledger_table,
        Key={"pk": {"S": f"object#{source.id}"}},
        UpdateExpression="SET version_id = :v",
        ExpressionAttributeValues={":v": {"S": str(back.version_id)}},
    )
    said = on_call.follow("gone letters", PREFIX=source.key)
    assert "1 units given up, whose dead letters are gone" in said
    on_call.check(source)


def test_items_of_an_object_that_somebody_deleted_from_the_ledger(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    (source,) = loaded(pipe, data)
    delete_item(pipe, f"object#{source.id}")
    assert codes(pipe) == {Code.NEVER_ANNOUNCED, Code.UNKNOWN_OBJECT}
    on_call.follow("lost record")
    on_call.check(source)


def test_the_item_of_a_lot_that_is_copied_back_from_a_restored_table(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    (source,) = loaded(pipe, data)
    (lot,) = pipe.lots_of(source)
    before = f"before-{uuid.uuid4().hex[:12]}"
    create_ledger(pipe.clients.dynamodb, before)
    table, key = pipe.names.ledger_table, {"pk": {"S": f"lot#{lot.id}"}}
    item = pipe.clients.dynamodb.get_item(TableName=table, Key=key)["Item"]
    pipe.clients.dynamodb.put_item(TableName=before, Item=item)  # type: ignore[arg-type]  # as it was read
    delete_item(pipe, f"lot#{lot.id}")
    assert Code.UNIT_OF_MISSING_LOT in codes(pipe)

    (block,) = (block for block in blocks(PAGE) if "lot#<id>" in block)
    copying = block.split("aws dynamodb wait")[1].partition("\n")[2]  # the restore itself is AWS's
    for told, meant in (("<id>", str(lot.id)), ("ledger-before", before), ("smelt-dev-ledger", table)):
        copying = copying.replace(told, meant)
    copying = copying.replace(".venv/bin/python", shlex.quote(sys.executable))
    environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": on_call.endpoint}
    subprocess.run(["sh", "-ec", copying], env=environment, cwd=on_call.folder, check=True, timeout=60)
    on_call.check(source)


def test_an_hour_without_notifications_in_which_files_were_overwritten_and_restored(
    on_call: OnCall,  # noqa: F811
    data: bytes,  # noqa: F811
) -> None:
    pipe, s3, bucket = on_call.pipeline, on_call.pipeline.clients.s3, on_call.pipeline.names.bronze_bucket
    key = some_key()
    with nobody_is_notified(pipe):
        first = pipe.upload(key, data)
        second = pipe.upload(key, data + b"\n")
        s3.copy_object(  # the first content is current again
            Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": str(first.version_id)}
        )
    on_call.follow("lost event")
    await_true(lambda: {state_of(pipe, one) for one in (first, second)} == {ObjectState.DONE})
    on_call.check(first, second)
    on_call.follow("wrong file", OBJECT=str(second.id))
    assert pipe.rows_of(second) == []
    on_call.check(first)


def test_a_lot_that_nobody_works_on_and_no_message_of_it(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    ledger = Ledger(pipe.clients.dynamodb, pipe.names.ledger_table)
    with transform_is_paused(pipe):
        source = pipe.upload(some_key(), data)
        await_true(lambda: state_of(pipe, source) is ObjectState.PLANNED)
        pipe.clients.sqs.purge_queue(QueueUrl=pipe.queue_url(pipe.names.queue))
        (known,) = ledger.find_objects([source.id])
        ledger.lots.claim(LotId.new(datetime.now(UTC)), [unit.id for unit in known.plan], [], {}, 0)
        time.sleep(0.01)
    on_call.follow("lost message")
    on_call.check(source)


def test_a_contract_that_was_rolled_back(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    (source,) = loaded(pipe, data)
    (before,) = pipe.lots_of(source)
    on_call.follow("load again", PREFIX=source.key)
    await_true(lambda: state_of(pipe, source) is ObjectState.DONE)
    (after,) = pipe.lots_of(source)
    assert after.id != before.id
    on_call.check(source)


def test_the_ledger_of_another_pipeline_on_the_same_buckets_says_to_delete_nothing(
    on_call: OnCall,  # noqa: F811
    data: bytes,  # noqa: F811
) -> None:
    pipe = on_call.pipeline
    loaded(pipe, data)
    table = f"ledger-{uuid.uuid4().hex[:12]}"
    create_ledger(pipe.clients.dynamodb, table)
    listings: Any = S3Listings(pipe.clients.s3, pipe.names.bronze_bucket, pipe.names.silver_bucket)
    findings = audit(Ledger(pipe.clients.dynamodb, table), listings, limits=Limits(timedelta(0))).findings
    assert findings.numbers[Code.ORPHAN_FILE]
    assert "Delete nothing yet" in findings.next_step(Code.ORPHAN_FILE)
