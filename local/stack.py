"""The pipeline's resources on an emulator: buckets, queues, ledger, functions and what connects them.

Plain calls to the AWS API, safe to repeat. Used by the demo, by compose and by the tests; in an AWS account Terraform
does this. How a function's code is packaged is the caller's business.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from services.shared.ledger.records import MAX_UNITS_PER_LOT
from services.shared.ledger.table import TABLE_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}

TRANSFORM_TIMEOUT_SECONDS = 60
INGEST_TIMEOUT_SECONDS = 900  # Lambda's limit: what S3's largest object needs (docs/decisions/0014)
MAX_RECEIVE_COUNT = 1000  # only a backstop: attempts in the ledger decide what becomes a dead letter
BATCH_SIZE = MAX_UNITS_PER_LOT


class Clients(NamedTuple):
    """Clients of one emulator."""

    s3: S3Client
    sqs: SQSClient
    dynamodb: DynamoDBClient
    functions: LambdaClient


@dataclass(frozen=True, slots=True)
class Names:
    """What the pipeline's resources are called."""

    bronze_bucket: str = "smelt-bronze"
    silver_bucket: str = "smelt-silver"
    ledger_table: str = "smelt-ledger"
    queue: str = "smelt-events"
    dlq: str = "smelt-events-dlq"
    ingest: str = "smelt-ingest"
    transform: str = "smelt-transform"


@dataclass(frozen=True, slots=True)
class Resources:
    """What was created: where the queues are."""

    queue_url: str
    queue_arn: str
    dlq_url: str


def connect(endpoint: str, dynamodb_endpoint: str | None = None) -> Clients:
    """Clients of the emulator at `endpoint`; its DynamoDB may live elsewhere."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 3},
        s3={"addressing_style": "path"},
        read_timeout=120,
        proxies={},  # an emulator is on this machine or in its Docker network: never behind HTTP_PROXY
    )

    # Not the person's account: a profile or a configuration file of theirs, also a broken one, changes nothing here.
    nobody: Any = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = boto3.Session(botocore_session=botocore.session.Session(nobody))

    def client(service: Any) -> Any:
        url = dynamodb_endpoint if service == "dynamodb" and dynamodb_endpoint else endpoint
        return session.client(
            service,
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )

    return Clients(client("s3"), client("sqs"), client("dynamodb"), client("lambda"))


def create_resources(clients: Clients, names: Names, transform_timeout: int = TRANSFORM_TIMEOUT_SECONDS) -> Resources:
    """Buckets, ledger, queue and dead-letter queue. The visibility timeout is six times the function's timeout."""
    for bucket in (names.bronze_bucket, names.silver_bucket):
        create_bucket(clients.s3, bucket)
    create_ledger(clients.dynamodb, names.ledger_table)
    dlq_url = clients.sqs.create_queue(QueueName=names.dlq, Attributes={"MessageRetentionPeriod": "1209600"})[
        "QueueUrl"
    ]
    redrive = {"deadLetterTargetArn": _queue_arn(clients, dlq_url), "maxReceiveCount": MAX_RECEIVE_COUNT}
    queue_url = clients.sqs.create_queue(
        QueueName=names.queue,
        Attributes={"VisibilityTimeout": str(6 * transform_timeout), "RedrivePolicy": json.dumps(redrive)},
    )["QueueUrl"]
    return Resources(queue_url, _queue_arn(clients, queue_url), dlq_url)


def create_bucket(s3: S3Client, bucket: str) -> None:
    """A bucket that keeps versions, as Terraform creates it."""
    _unless_there(partial(s3.create_bucket, Bucket=bucket))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def create_ledger(dynamodb: DynamoDBClient, table: str) -> None:
    """The ledger's table with its TTL, ready to use."""
    _unless_there(lambda: dynamodb.create_table(TableName=table, **TABLE_SCHEMA))
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    _unless_there(
        lambda: dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
    )


def function_environment(names: Names, resources: Resources, function: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment that a function runs with; `extra` says where the emulator is."""
    common = {
        "BRONZE_BUCKET": names.bronze_bucket,
        "QUEUE_URL": resources.queue_url,
        "LEDGER_TABLE": names.ledger_table,
        "POWERTOOLS_SERVICE_NAME": function,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_METRICS_NAMESPACE": "smelt",
        "POWERTOOLS_TRACE_DISABLED": "true",
        **CREDENTIALS,
    }
    own = {}
    if function == "transform":
        own = {"SILVER_BUCKET": names.silver_bucket, "DEAD_LETTER_QUEUE_URL": resources.dlq_url}
    return {**common, **own, **extra}


def bootstrap_zip(script: str, files: Mapping[str, bytes] | None = None) -> bytes:
    """A function's zip: an executable `bootstrap`, and these files. Its code is in the image, or on this disk."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "bootstrap", script.encode(), 0o755)
        for name, data in (files or {}).items():
            _add(archive, name, data, 0o644)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    archive.writestr(entry, data)


def create_function(
    clients: Clients, name: str, code: bytes, handler: str, runtime: Any, timeout: int, environment: Mapping[str, str]
) -> str:
    """Create the function from a zip, or replace it. Returns its ARN once it can be invoked."""
    try:
        clients.functions.delete_function(FunctionName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
    arn = clients.functions.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role="arn:aws:iam::000000000000:role/smelt-local",
        Handler=handler,
        Code={"ZipFile": code},
        Timeout=timeout,
        MemorySize=1024,
        Environment={"Variables": dict(environment)},
    )["FunctionArn"]
    clients.functions.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    return arn


def connect_functions(clients: Clients, names: Names, resources: Resources, ingest_arn: str) -> None:
    """Bronze notifies ingest of every object created under `bronze/`; the queue feeds transform."""
    clients.s3.put_bucket_notification_configuration(
        Bucket=names.bronze_bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": ingest_arn,
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "bronze/"}]}},
                }
            ]
        },
    )
    mappings = clients.functions.list_event_source_mappings(EventSourceArn=resources.queue_arn)["EventSourceMappings"]
    for mapping in mappings:
        clients.functions.delete_event_source_mapping(UUID=mapping["UUID"])
    created = clients.functions.create_event_source_mapping(
        EventSourceArn=resources.queue_arn,
        FunctionName=names.transform,
        BatchSize=BATCH_SIZE,
        MaximumBatchingWindowInSeconds=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    for _ in range(120):
        if clients.functions.get_event_source_mapping(UUID=created["UUID"])["State"] == "Enabled":
            return
        time.sleep(0.25)
    raise TimeoutError("the event source mapping did not become enabled within 30 s; read the emulator's log")


def _queue_arn(clients: Clients, url: str) -> str:
    return clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _unless_there(create: Any) -> None:
    try:
        create()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        already = code == "ValidationException" and "already enabled" in str(error)
        if code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "ResourceInUseException"} and not already:
            raise
