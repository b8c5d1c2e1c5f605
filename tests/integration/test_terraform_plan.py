"""What Terraform would create fits what the code expects, and the toggles of envs/dev do what their names say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from local.stack import Names
from services.shared.ledger.records import MAX_UNITS_PER_LOT
from services.shared.ledger.table import TABLE_SCHEMA
from services.shared.settings import IngestSettings, SettingsError, TransformSettings
from tests.support.terraform import IMAGES, of_type, plan, resources

QUEUE = "https://sqs.us-east-2.amazonaws.com/000000000000/mine"
QUEUE_ARN = "arn:aws:sqs:us-east-2:000000000000:mine"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def planned(emulator: str, scratch: Path) -> dict[str, Any]:
    """envs/dev as it ships."""
    return plan("envs/dev", "dev.tfvars", {"images": IMAGES}, emulator, scratch)


@pytest.fixture(scope="module")
def restricted(emulator: str, scratch: Path) -> dict[str, Any]:
    """envs/dev in an account that gave us queues, with everything else turned on."""
    variables = {
        "images": IMAGES,
        "existing_queue_url": QUEUE,
        "existing_queue_arn": QUEUE_ARN,
        "existing_dlq_url": f"{QUEUE}-dlq",
        "existing_dlq_arn": f"{QUEUE_ARN}-dlq",
        "existing_ingest_failures_queue_url": f"{QUEUE}-failures",
        "existing_ingest_failures_queue_arn": f"{QUEUE_ARN}-failures",
        "tag_iam_and_sqs": True,
        "observability_enabled": True,
    }
    return plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


def function(planned: dict[str, Any], service: str) -> dict[str, Any]:
    return resources(planned)[f"module.platform.module.pipeline.module.{service}.aws_lambda_function.this"]


def test_the_ledger_has_the_keys_that_the_code_writes(planned: dict[str, Any]) -> None:
    (table,) = of_type(planned, "aws_dynamodb_table").values()
    (index,) = TABLE_SCHEMA["GlobalSecondaryIndexes"]
    assert {attribute["name"]: attribute["type"] for attribute in table["attribute"]} == {
        attribute["AttributeName"]: attribute["AttributeType"] for attribute in TABLE_SCHEMA["AttributeDefinitions"]
    }
    assert [table["hash_key"], table["range_key"]] == [TABLE_SCHEMA["KeySchema"][0]["AttributeName"], None]
    (planned_index,) = table["global_secondary_index"]
    assert planned_index["name"] == index["IndexName"]
    keys = [planned_index["hash_key"], planned_index["range_key"]]
    assert keys == [key["AttributeName"] for key in index["KeySchema"]]
    assert planned_index["projection_type"] == index["Projection"]["ProjectionType"]
    assert table["billing_mode"] == TABLE_SCHEMA["BillingMode"]


def test_functions_get_every_setting_that_they_ask_for(restricted: dict[str, Any]) -> None:
    # With a queue of its own Terraform knows the queue's URL, and so the environment, only once it exists.
    ingest = function(restricted, "ingest")["environment"][0]["variables"]
    transform = function(restricted, "transform")["environment"][0]["variables"]
    assert IngestSettings.from_env(ingest).queue_url == QUEUE
    assert TransformSettings.from_env(transform).silver_bucket == "smelt-dev-silver-000000000000-us-east-2"
    assert transform["DEAD_LETTER_QUEUE_URL"] == f"{QUEUE}-dlq"
    assert "DEAD_LETTER_QUEUE_URL" not in ingest
    assert [ingest["POWERTOOLS_SERVICE_NAME"], transform["POWERTOOLS_SERVICE_NAME"]] == ["ingest", "transform"]


class Read(dict[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def test_terraform_accepts_the_settings_that_the_code_reads_down_to_the_same_minimum(
    restricted: dict[str, Any],
) -> None:
    text = (ROOT / "infra/terraform/modules/pipeline/variables.tf").read_text()
    (least,) = re.findall(r"for name, least in \{(.*?)\} :", text)
    taken = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", least)}
    (listed,) = re.findall(r"contains\(\[(.*?)\], name\)", text)
    set_by_terraform = function(restricted, "transform")["environment"][0]["variables"]
    environment = Read(set_by_terraform)
    IngestSettings.from_env(environment)
    TransformSettings.from_env(environment)
    assert environment.asked - set(set_by_terraform) - {"CONTRACTS_DIR"} == set(taken) == set(json.loads(f"[{listed}]"))
    for name, number in taken.items():
        both = Read(set_by_terraform | {name: str(number)})
        IngestSettings.from_env(both)
        TransformSettings.from_env(both)
        with pytest.raises(SettingsError, match=name):
            for settings in (IngestSettings, TransformSettings):
                settings.from_env(set_by_terraform | {name: str(number - 1)})


def test_the_visibility_timeout_is_six_times_the_function_s_timeout_and_the_time_in_which_a_batch_is_gathered(
    planned: dict[str, Any],
) -> None:
    queue = resources(planned)["module.platform.module.pipeline.module.queue[0].aws_sqs_queue.this"]
    (source,) = of_type(planned, "aws_lambda_event_source_mapping").values()
    window = source["maximum_batching_window_in_seconds"]
    assert window > 0
    assert queue["visibility_timeout_seconds"] == 6 * function(planned, "transform")["timeout"] + window


def test_a_delivery_is_one_lot(planned: dict[str, Any]) -> None:
    (source,) = of_type(planned, "aws_lambda_event_source_mapping").values()
    assert source["batch_size"] == MAX_UNITS_PER_LOT


def test_concurrency_is_limited_and_never_above_what_is_reserved(planned: dict[str, Any]) -> None:
    (source,) = of_type(planned, "aws_lambda_event_source_mapping").values()
    (limit,) = source["scaling_config"]
    reserved = function(planned, "transform")["reserved_concurrent_executions"]
    assert limit["maximum_concurrency"] == 10
    assert reserved == -1 or reserved >= limit["maximum_concurrency"]


def test_both_buckets_keep_versions(planned: dict[str, Any]) -> None:
    found = of_type(planned, "aws_s3_bucket_versioning")
    assert {re.sub(r"\[\d\]", "", address).split(".")[5] for address in found} == {"bronze", "silver"}
    assert {values["versioning_configuration"][0]["status"] for values in found.values()} == {"Enabled"}


def test_iam_roles_and_queues_are_not_tagged_by_default(planned: dict[str, Any]) -> None:
    restricted_types = of_type(planned, "aws_iam_role") | of_type(planned, "aws_sqs_queue")
    assert len(restricted_types) == 5
    assert {address for address, values in restricted_types.items() if values.get("tags")} == set()
    assert function(planned, "ingest")["tags"] == {"project": "smelt-dev"}


def test_one_variable_tags_them(restricted: dict[str, Any]) -> None:
    assert {str(role["tags"]) for role in of_type(restricted, "aws_iam_role").values()} == {"{'project': 'smelt-dev'}"}


def test_alarms_and_dashboard_are_created_only_on_request(planned: dict[str, Any], restricted: dict[str, Any]) -> None:
    kinds = ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_dashboard", "aws_sns_topic")
    assert [len(of_type(planned, kind)) for kind in kinds] == [0, 0, 0]
    assert all(of_type(restricted, kind) for kind in kinds)


def test_with_existing_queues_terraform_manages_none(restricted: dict[str, Any]) -> None:
    assert {address for address in resources(restricted) if "aws_sqs" in address} == set()
    (source,) = of_type(restricted, "aws_lambda_event_source_mapping").values()
    assert source["event_source_arn"] == QUEUE_ARN


def test_everything_is_named_after_the_project(planned: dict[str, Any]) -> None:
    named = ("aws_s3_bucket", "aws_sqs_queue", "aws_dynamodb_table", "aws_lambda_function", "aws_iam_role")
    names = [
        values.get("bucket") if kind == "aws_s3_bucket" else values.get("name", values.get("function_name"))
        for kind in named
        for values in of_type(planned, kind).values()
    ]
    assert len(names) == 10
    assert all(name.startswith("smelt-dev-") for name in names)


# What a part's own switch decides, and nobody sets.
OF_PARTS = {"outboxes": ("local.gate_outboxes", "local.lake_outboxes")}
# What the platform takes, and the environment leaves at its default.
LEFT_AT_DEFAULT = {"gate.timeout_minutes", "compaction.worker_type", "compaction.timeout_minutes"}
_PLATFORM = ROOT / "infra/terraform/modules/platform"
_OBJECT = re.compile(r'^variable "(\w+)" \{(?:\n  .*)*?\n  type = object\(\{\n((?:    .*\n)+)  \}\)', re.MULTILINE)
_GIVEN = re.compile(r"^  (\w+) = \{\n((?:    .*\n)+)  \}", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    (\w+) +=", re.MULTILINE)


def attributes(pattern: re.Pattern[str], *files: Path) -> set[str]:
    """Of each object that the pattern finds, such as `gate.enabled`."""
    text = "\n".join(file.read_text() for file in files)
    return {f"{name}.{attribute}" for name, body in pattern.findall(text) for attribute in _ATTRIBUTE.findall(body)}


@pytest.mark.parametrize("environment", ["dev", "local"])
def test_the_platform_knows_every_attribute_that_it_is_given(environment: str) -> None:
    """One that it does not know would be dropped in silence."""
    given = attributes(_GIVEN, ROOT / f"infra/terraform/envs/{environment}/main.tf")
    known = attributes(_OBJECT, *_PLATFORM.glob("variables*.tf"))
    assert {name.partition(".")[0] for name in known} == {"pipeline", "ops", "catalog", "lake", "gate", "compaction"}
    assert given - known == set()
    if environment == "dev":
        assert known - given == LEFT_AT_DEFAULT


def test_every_variable_of_the_environment_reaches_the_pipeline(planned: dict[str, Any]) -> None:
    root = planned["configuration"]["root_module"]
    platform = root["module_calls"]["platform"]
    pipeline = platform["module"]["module_calls"]["pipeline"]
    assert set(pipeline["expressions"]) == set(pipeline["module"]["variables"])
    for name, expression in pipeline["expressions"].items():
        known = {f"var.{name}", f"var.pipeline.{name}", f"local.{name}", *OF_PARTS.get(name, ())}
        assert known & set(expression["references"])
    for part in ("ops", "catalog"):
        called = platform["module"]["module_calls"][part]
        assert set(called["expressions"]) == set(called["module"]["variables"])
    passed = {
        reference.removeprefix("var.")
        for expression in platform["expressions"].values()
        for reference in expression["references"]
    }
    assert set(root["variables"]) == {"region", "account_id", *passed}


def test_credentials_of_another_account_are_refused(emulator: str, scratch: Path) -> None:
    with pytest.raises(AssertionError, match="AWS account ID not allowed: 000000000000"):
        plan("envs/dev", "dev.tfvars", {"images": IMAGES, "account_id": "123456789012"}, emulator, scratch)


def test_queues_have_the_same_names_on_an_emulator(planned: dict[str, Any]) -> None:
    names = {queue["name"].replace("smelt-dev-", "smelt-") for queue in of_type(planned, "aws_sqs_queue").values()}
    assert {Names().queue, Names().dlq} <= names
