"""Before anything is created: what is left of the account's quotas, and a Bronze bucket and keys that exist already."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy.preflight import Finding, Level, preflight
from local.stack import CREDENTIALS, Clients
from services.shared.aws import aws_client

REGION = "us-east-1"


@pytest.fixture
def client(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    return partial(aws_client, region=REGION)


class Account:
    """An account with these quotas, in which every name is free; or one that refuses to tell."""

    def __init__(self, *, executions: int = 1000, unreserved: int = 1000, roles: int = 0, refuses: str = "") -> None:
        self._executions, self._unreserved, self._roles, self._refuses = executions, unreserved, roles, refuses

    def __call__(self, _: str) -> Any:
        return self

    def get_account_settings(self) -> Any:
        self._refuse("GetAccountSettings")
        executions = {"ConcurrentExecutions": self._executions, "UnreservedConcurrentExecutions": self._unreserved}
        return {"AccountLimit": executions}

    def get_account_summary(self) -> Any:
        self._refuse("GetAccountSummary")
        return {"SummaryMap": {"Roles": self._roles, "RolesQuota": 1000}}

    def get_function_configuration(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetFunctionConfiguration")

    def get_role(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "NoSuchEntity", "Message": ""}}, "GetRole")

    def _refuse(self, operation: str) -> None:
        if self._refuses:
            raise ClientError({"Error": {"Code": self._refuses, "Message": ""}}, operation)


def change(kind: str, after: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    actions = ["update"] if before else ["create"]
    return {"address": kind, "type": kind, "change": {"actions": actions, "before": before, "after": after}}


def planned(*, ingest: int = -1, transform: int = -1, before: int | None = None, most: int = 10) -> dict[str, Any]:
    """A plan that reserves so much for each function; `before`: what transform has reserved already."""

    def function(name: str, reserved: int) -> dict[str, Any]:
        return {"function_name": f"smelt-{name}", "reserved_concurrent_executions": reserved}

    changes = [
        change("aws_lambda_function", function("ingest", ingest)),
        change(
            "aws_lambda_function",
            function("transform", transform),
            None if before is None else function("transform", before),
        ),
        change("aws_lambda_event_source_mapping", {"scaling_config": [{"maximum_concurrency": most}]}),
    ]
    return {"resource_changes": changes}


def test_an_account_with_room_is_fine() -> None:
    assert preflight(planned(ingest=5, transform=20), Account()) == []


@pytest.mark.parametrize(("reserved", "problems"), [(900, 0), (901, 1)])
def test_so_much_is_reserved_that_a_hundred_stay(reserved: int, problems: int) -> None:
    found = preflight(planned(transform=reserved), Account())
    assert [(one.level, one.address) for one in found] == [(Level.PROBLEM, "reserved_concurrency")] * problems


def test_what_is_reserved_already_does_not_count_again() -> None:
    account = Account(unreserved=110)  # 890 of them are transform's
    assert preflight(planned(transform=900, before=890), account) == []
    (finding,) = preflight(planned(transform=901, before=890), account)
    assert (finding.level, "leave 99 of the account's 1000" in finding.what) == (Level.PROBLEM, True)


def test_in_a_new_account_nothing_can_be_reserved_and_transform_must_leave_room() -> None:
    new = Account(executions=10, unreserved=10)
    assert {one.address for one in preflight(planned(transform=5, most=5), new)} == {"reserved_concurrency"}
    (finding,) = preflight(planned(most=10), new)
    assert (finding.level, finding.address) == (Level.WARNING, "maximum_concurrency")
    assert preflight(planned(most=9), new) == []


def test_a_function_that_is_stopped_reserves_nothing() -> None:
    assert preflight(planned(transform=0), Account(unreserved=100)) == []


@pytest.mark.parametrize(("has", "problems"), [(998, 0), (999, 1)])
def test_as_many_roles_are_made_as_the_account_may_have(has: int, problems: int) -> None:
    plan = {"resource_changes": [change("aws_iam_role", {"name": name}) for name in ("a", "b")]}
    found = preflight(plan, Account(roles=has))
    assert [(one.level, one.address) for one in found] == [(Level.PROBLEM, "aws_iam_role")] * problems


def test_without_permission_it_says_what_it_could_not_see() -> None:
    plan = {"resource_changes": [*planned()["resource_changes"], change("aws_iam_role", {"name": "a"})]}
    found = preflight(plan, Account(refuses="AccessDeniedException"))
    assert [(one.level, one.address) for one in found] == [
        (Level.UNCHECKED, "reserved_concurrency"),
        (Level.UNCHECKED, "aws_iam_role"),
    ]
    with pytest.raises(ClientError):
        preflight(plan, Account(refuses="ExpiredToken"))


# ---- a bucket that exists


@pytest.fixture
def bucket(clients: Clients) -> str:
    """A bucket as it should be: events go to EventBridge, versions are kept."""
    name = f"ours-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=name)
    clients.s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    clients.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def given(bucket: str, **variables: Any) -> dict[str, Any]:
    values = {"create_bronze_bucket": False, "bronze_bucket_name": bucket} | variables
    return {"resource_changes": [], "variables": {name: {"value": value} for name, value in values.items()}}


def encrypt(clients: Clients, bucket: str, key: str) -> None:
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    clients.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_a_bucket_as_it_should_be_is_fine(client: Callable[[str], Any], bucket: str) -> None:
    assert preflight(given(bucket), client) == []


def test_a_bucket_that_tells_eventbridge_nothing_is_a_problem(
    client: Callable[[str], Any], clients: Clients, bucket: str
) -> None:
    clients.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    (finding,) = preflight(given(bucket), client)
    assert (finding.level, "no object would be announced" in finding.what) == (Level.PROBLEM, True)
    assert preflight(given(bucket, create_bronze_bucket=True), client) == []  # not the one that exists


def test_a_bucket_without_versions_is_a_warning(client: Callable[[str], Any], clients: Clients, bucket: str) -> None:
    clients.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    (finding,) = preflight(given(bucket), client)
    assert (finding.level, "keeps no versions" in finding.what) == (Level.WARNING, True)


def test_a_bucket_that_does_not_exist_is_a_problem(client: Callable[[str], Any]) -> None:
    (finding,) = preflight(given("missing-bucket"), client)
    assert (finding.level, "does not exist" in finding.what) == (Level.PROBLEM, True)


def test_a_bucket_of_another_region_is_a_problem(client: Callable[[str], Any], bucket: str) -> None:
    class Elsewhere:
        """S3 as another region's client sees it."""

        def __init__(self, s3: Any) -> None:
            self._s3 = s3

        def head_bucket(self, **_: Any) -> Any:
            return {"BucketRegion": "eu-west-1"}

        def __getattr__(self, name: str) -> Any:
            return getattr(self._s3, name)

    (finding,) = preflight(given(bucket), lambda service: Elsewhere(client(service)))
    assert (finding.level, 'set region = "eu-west-1"' in finding.advice) == (Level.PROBLEM, True)


def test_a_key_that_transform_could_not_use_is_a_problem(
    client: Callable[[str], Any], clients: Clients, bucket: str
) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    encrypt(clients, bucket, key)
    (finding,) = preflight(given(bucket), client)
    assert (finding.level, finding.address, key in finding.what) == (Level.PROBLEM, "bronze_kms_key_arn", True)
    assert preflight(given(bucket, bronze_kms_key_arn=key), client) == []
    encrypt(clients, bucket, key.rsplit("/", 1)[1])  # by its id
    assert preflight(given(bucket, bronze_kms_key_arn=key), client) == []
    other = client("kms").create_key()["KeyMetadata"]["Arn"]
    (finding,) = preflight(given(bucket, bronze_kms_key_arn=other), client)
    assert (finding.level, "is another" in finding.what) == (Level.WARNING, True)


@pytest.mark.parametrize("key", ["alias/aws/s3", f"arn:aws:kms:{REGION}:000000000000:alias/aws/s3"])
def test_awss_own_key_may_be_used_by_every_role_of_the_account(
    client: Callable[[str], Any], clients: Clients, bucket: str, key: str
) -> None:
    encrypt(clients, bucket, key)
    assert preflight(given(bucket), client) == []


def test_a_bucket_of_another_account_that_may_be_looked_at_is_reported(
    client: Callable[[str], Any], bucket: str
) -> None:
    """Its events go to its own account's EventBridge, so that no object would be announced."""

    class Theirs:
        def __init__(self, s3: Any) -> None:
            self._s3 = s3

        def head_bucket(self, **asked: Any) -> Any:
            if asked.get("ExpectedBucketOwner", "999999999999") != "999999999999":
                raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")
            return self._s3.head_bucket(Bucket=asked["Bucket"])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._s3, name)

    def clients(service: str) -> Any:
        return Theirs(client("s3")) if service == "s3" else client(service)

    (finding,) = preflight(given(bucket), clients)
    assert (finding.level, "another account" in finding.what) == (Level.UNCHECKED, True)


def test_a_key_that_does_not_exist_or_is_off_is_a_problem(client: Callable[[str], Any]) -> None:
    def check(key: str) -> list[Finding]:
        return preflight({"resource_changes": [], "variables": {"kms_key_arn": {"value": key}}}, client)

    (missing,) = check(f"arn:aws:kms:{REGION}:000000000000:key/{uuid.uuid4()}")
    assert (missing.level, "does not exist" in missing.what) == (Level.PROBLEM, True)
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    assert check(key) == []
    client("kms").disable_key(KeyId=key)
    (off,) = check(key)
    assert (off.level, "is Disabled" in off.what) == (Level.PROBLEM, True)
