"""A Bronze bucket that exists already, and keys of one's own: what nothing in Terraform looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import DENIED, Clients, Finding, Level, code_of, not_found, value_of

_BUCKET, _KEY = "bronze_bucket_name", "bronze_kms_key_arn"
_UNENCRYPTED = "ServerSideEncryptionConfigurationNotFoundError"


def existing_bucket(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """The Bronze bucket, where the plan does not make it."""
    if value_of(plan, "create_bronze_bucket") is not False:
        return
    bucket = value_of(plan, _BUCKET)
    s3 = clients("s3")
    try:
        account = clients("sts").get_caller_identity()["Account"]
        region = s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account).get("BucketRegion")
    except ClientError as error:
        if code_of(error) in {"403", "301", "Forbidden"}:
            what = f"the bucket {bucket} is of another account or region, or may not be looked at"
            yield Finding(
                Level.UNCHECKED, _BUCKET, what, "a bucket of another account or region announces nothing here"
            )
            return
        yield not_found(error, _BUCKET, f"the bucket {bucket}", "or set create_bronze_bucket = true")
        return
    here = s3.meta.region_name
    if region and region != here:
        what = f"the bucket {bucket} is in {region}, but the pipeline in {here}: its events stay in its region"
        yield Finding(Level.PROBLEM, _BUCKET, what, f'set region = "{region}"')
    for check in (_events, _versions, _encryption):
        try:
            yield from check(plan, s3, bucket)
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise
            what = f"no permission to see the bucket's settings ({error.operation_name})"
            yield Finding(Level.UNCHECKED, _BUCKET, what, 'infra/terraform/README.md, "A Bronze bucket that exists"')


def _events(_: Mapping[str, Any], s3: Any, bucket: str) -> Iterator[Finding]:
    if "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket=bucket):
        what = f"the bucket {bucket} does not send its events to EventBridge: no object would be announced"
        advice = 'turn it on beside what is there: infra/terraform/README.md, "A Bronze bucket that exists"'
        yield Finding(Level.PROBLEM, _BUCKET, what, advice)


def _versions(_: Mapping[str, Any], s3: Any, bucket: str) -> Iterator[Finding]:
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        what = f"the bucket {bucket} keeps no versions: an object that is overwritten before it is read is lost"
        yield Finding(Level.WARNING, _BUCKET, what, "turn versioning on, or never overwrite")


def _encryption(plan: Mapping[str, Any], s3: Any, bucket: str) -> Iterator[Finding]:
    given = value_of(plan, _KEY) or ""
    try:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if code_of(error) != _UNENCRYPTED:
            raise
        return
    used = {rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "") for rule in rules} - {""}
    for key in used:  # an id, an ARN or an alias
        if key.endswith("alias/aws/s3"):  # AWS's own, which every role of the account may use through S3
            continue
        if not given:
            what = f"the bucket {bucket} encrypts with the key {key}, which transform could not use for reading"
            yield Finding(Level.PROBLEM, _KEY, what, f"set {_KEY} to that key's ARN")
        elif (
            ":alias/" not in key and not key.startswith("alias/") and key.rsplit("/", 1)[-1] != given.rsplit("/", 1)[-1]
        ):
            what = f"the bucket {bucket} encrypts with the key {key}, but {_KEY} is another: {given}"
            yield Finding(Level.WARNING, _KEY, what, "objects of the other key could not be read")


def keys(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """The keys that the plan is told to use: there, in this region, and enabled."""
    for variable in ("kms_key_arn", _KEY):
        key = value_of(plan, variable)
        if not key:
            continue
        try:
            found = clients("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            yield not_found(error, variable, f"the key {key}", "give the ARN of a key of this region")
            continue
        if found.get("KeyState") != "Enabled":
            what = f"the key {key} is {found.get('KeyState')}: nothing could be written or read with it"
            yield Finding(Level.PROBLEM, variable, what, "enable it, or give another")
