"""What survives `docker compose down`: LocalStack's community edition forgets everything, so we keep it in a volume.

Kept are the objects of both buckets (not their older versions) and the ledger. Messages are not: after a start, ingest
is told again of every object that is not finished, and sends its missing units, as it does for any repeated event.

    <folder>/state.json     which objects there are, and the ledger's items; replaced as a whole
    <folder>/objects/<sha>  the bytes of one object
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.stack import Clients, Names, Resources
from services.shared.errors import SmeltError
from services.shared.identities import ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState

_SECONDS_TO_FINISH = 40
_ITEMS_PER_WRITE = 25  # DynamoDB's limit of BatchWriteItem
_MIB = 1024 * 1024
_START_EMPTY = "It cannot be stored again as it was. Start empty: docker compose down --volumes"
_FILLED = "smelt-filled"  # a tag of the Bronze bucket, for as long as the emulator lives
_FINISHED = {ObjectState.DONE, ObjectState.REJECTED, ObjectState.RETRACTED}


class NotRestored(SmeltError):
    """An object could not be stored again as it was."""


@dataclass(frozen=True)
class Kept:
    """An object of a bucket."""

    bucket: str
    key: str
    etag: str

    @property
    def file_name(self) -> str:
        return hashlib.sha256(f"{self.bucket}/{self.key}#{self.etag}".encode()).hexdigest()


def save(clients: Clients, names: Names, resources: Resources, folder: Path) -> int:
    """Stop the pipeline, then write down what it holds. Returns the number of objects."""
    _stop_the_pipeline(clients, names, resources)
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    objects = [kept for bucket in (names.bronze_bucket, names.silver_bucket) for kept in _objects(clients, bucket)]
    for kept in objects:
        file = folder / "objects" / kept.file_name
        if not file.exists():
            fetched = file.with_suffix(".new")
            with fetched.open("wb") as out:
                shutil.copyfileobj(clients.s3.get_object(Bucket=kept.bucket, Key=kept.key)["Body"], out)
            fetched.rename(file)
    pages = clients.dynamodb.get_paginator("scan").paginate(TableName=names.ledger_table, ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    state = json.dumps({"objects": [asdict(kept) for kept in objects], "ledger": items}, default=_as_text)
    written = folder / "state.new"
    written.write_text(state)
    written.rename(folder / "state.json")
    wanted = {kept.file_name for kept in objects}
    for file in (folder / "objects").iterdir():
        if file.name not in wanted:
            file.unlink()
    return len(objects)


def restore(clients: Clients, names: Names, folder: Path) -> int:
    """Fill empty buckets and an empty ledger with what was saved last. Returns the number of objects.

    The pipeline must not run yet: objects that come back are no news. A restore that was interrupted is done again as a
    whole: with half of it, ingest would plan anew what the ledger does not know, and `save` would forget the rest.

    Raises:
        NotRestored: an object got another etag, so the ledger would take it for a new one.
    """
    if _is_filled(clients, names):
        return 0
    file = folder / "state.json"
    restored = _fill(clients, names, folder, file) if file.exists() else 0
    tags: Any = {"TagSet": [{"Key": _FILLED, "Value": "true"}]}
    clients.s3.put_bucket_tagging(Bucket=names.bronze_bucket, Tagging=tags)
    return restored


def _is_filled(clients: Clients, names: Names) -> bool:
    try:
        tags = clients.s3.get_bucket_tagging(Bucket=names.bronze_bucket)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        return False
    return any(tag["Key"] == _FILLED for tag in tags)


def _fill(clients: Clients, names: Names, folder: Path, file: Path) -> int:
    state = json.loads(file.read_text(), object_hook=_as_bytes)
    objects = [Kept(**entry) for entry in state["objects"]]
    for kept in objects:
        _put_back(clients, kept, folder / "objects" / kept.file_name)
    items = state["ledger"]
    for first in range(0, len(items), _ITEMS_PER_WRITE):
        requests: Any = [{"PutRequest": {"Item": item}} for item in items[first : first + _ITEMS_PER_WRITE]]
        while requests:
            answer = clients.dynamodb.batch_write_item(RequestItems={names.ledger_table: requests})
            requests = answer.get("UnprocessedItems", {}).get(names.ledger_table)
    return len(objects)


def announce_unfinished(clients: Clients, names: Names) -> int:
    """Tell ingest of every Bronze object that the ledger does not call finished. Returns how many these are."""
    ledger = Ledger(clients.dynamodb, names.ledger_table)
    ids = {ObjectId(kept.bucket, kept.key, kept.etag) for kept in _objects(clients, names.bronze_bucket)}
    finished = {known.source.id for known in ledger.find_objects(ids) if known.state in _FINISHED}
    for unfinished in ids - finished:
        head = clients.s3.head_object(Bucket=unfinished.bucket, Key=unfinished.key)
        event = {
            "eventName": "ObjectCreated:Put",
            "eventTime": datetime.now(UTC).isoformat(),
            "s3": {
                "bucket": {"name": unfinished.bucket},
                "object": {
                    "key": unfinished.key,
                    "size": head["ContentLength"],
                    "eTag": unfinished.etag,
                    "versionId": head["VersionId"],
                },
            },
        }
        clients.functions.invoke(
            FunctionName=names.ingest, InvocationType="Event", Payload=json.dumps({"Records": [event]})
        )
    return len(ids - finished)


def _stop_the_pipeline(clients: Clients, names: Names, resources: Resources) -> None:
    """No new work from here on; what is being worked on gets a moment to be committed."""
    clients.s3.put_bucket_notification_configuration(Bucket=names.bronze_bucket, NotificationConfiguration={})
    mappings = clients.functions.list_event_source_mappings(EventSourceArn=resources.queue_arn)["EventSourceMappings"]
    for mapping in mappings:
        with suppress(ClientError):  # it is being deleted already
            clients.functions.delete_event_source_mapping(UUID=mapping["UUID"])
    until = time.monotonic() + _SECONDS_TO_FINISH
    while _in_flight(clients, resources) and time.monotonic() < until:
        time.sleep(0.5)


def _in_flight(clients: Clients, resources: Resources) -> bool:
    name: Any = "ApproximateNumberOfMessagesNotVisible"
    found = clients.sqs.get_queue_attributes(QueueUrl=resources.queue_url, AttributeNames=[name])
    return found["Attributes"][name] != "0"


def _objects(clients: Clients, bucket: str) -> Iterator[Kept]:
    for page in clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield Kept(bucket, entry["Key"], entry["ETag"].strip('"'))


def _put_back(clients: Clients, kept: Kept, file: Path) -> None:
    where: Any = {"Bucket": kept.bucket, "Key": kept.key}
    if "-" not in kept.etag:
        with file.open("rb") as data:
            etag = clients.s3.put_object(**where, Body=data)["ETag"]
    else:
        part_bytes = _part_bytes(kept, file)
        upload: Any = {**where, "UploadId": clients.s3.create_multipart_upload(**where)["UploadId"]}
        parts: Any = []
        with file.open("rb") as data:
            while part := data.read(part_bytes):
                done = clients.s3.upload_part(**upload, PartNumber=len(parts) + 1, Body=part)
                parts.append({"PartNumber": len(parts) + 1, "ETag": done["ETag"]})
        etag = clients.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ETag"]
    if etag.strip('"') != kept.etag:
        raise NotRestored(f"s3://{kept.bucket}/{kept.key} came back with another etag. {_START_EMPTY}")


def _part_bytes(kept: Kept, file: Path) -> int:
    """The size of the parts that an object was uploaded in: the whole MiB that gives its etag, md5(md5s)-number."""
    size, number = file.stat().st_size, int(kept.etag.rsplit("-", 1)[1])
    least = -(-size // number)
    for part_bytes in range(-(-least // _MIB) * _MIB, size + _MIB, _MIB):
        if -(-size // part_bytes) != number:
            break
        with file.open("rb") as data:
            digests = b"".join(hashlib.md5(part).digest() for part in iter(lambda: data.read(part_bytes), b""))  # noqa: S324, B023 (S3's etag; called at once)
        if kept.etag == f"{hashlib.md5(digests).hexdigest()}-{number}":  # noqa: S324
            return part_bytes
    raise NotRestored(f"s3://{kept.bucket}/{kept.key} was uploaded in parts of an unusual size. {_START_EMPTY}")


def _as_text(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} is not a type of a ledger's item")


def _as_bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value
