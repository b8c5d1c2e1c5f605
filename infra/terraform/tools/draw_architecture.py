#!/usr/bin/env python3
"""Draws the pipeline as a Mermaid flow chart, from what Terraform has created.

terraform -chdir=infra/terraform/envs/dev show -json | python infra/terraform/tools/draw_architecture.py

Boxes are buckets, queues, tables and functions; arrows are what connects them, or what a role allows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

FAILED = 2  # exit code, as services/ops/cli/console.py has it
SHAPES = {
    "aws_s3_bucket": '[("S3 {}")]',
    "aws_dynamodb_table": '[("DynamoDB {}")]',
    "aws_sqs_queue": '[["SQS {}"]]',
    "aws_lambda_function": '["Lambda {}"]',
}


class Box(NamedTuple):
    """A resource that is drawn. `id` is its name without project, account and region."""

    id: str
    arn: str
    shape: str


class Arrow(NamedTuple):
    source: str
    label: str
    target: str
    dotted: bool = False


def resources(state: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All resources of a state but the operators' (docs/workflow.md draws those): type and attributes."""

    def walk(module: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for resource in module.get("resources", []):
            if resource["mode"] == "managed" and ".module.ops[" not in resource["address"]:
                yield resource["type"], resource["values"]
        for child in module.get("child_modules", []):
            yield from walk(child)

    return list(walk(state["values"]["root_module"]))


def boxes(state: Mapping[str, Any]) -> list[Box]:
    """What is drawn, buckets first."""
    project = state["values"]["outputs"]["ingest_function"]["value"].removesuffix("-ingest")
    region = state["values"]["outputs"]["region"]["value"]
    found = []
    for drawn, shape in SHAPES.items():
        for kind, values in resources(state):
            if kind == drawn:
                name = values.get("bucket") or values.get("function_name") or values["name"]
                short = name.removeprefix(f"{project}-").removesuffix(f"-{region}").rstrip("0123456789").rstrip("-")
                found.append(Box(short, values["arn"], shape.format(short)))
    return found


def arrows(state: Mapping[str, Any], of_arn: Mapping[str, str]) -> Iterator[Arrow]:
    """What connects the boxes: notifications, mappings, redrives, failure destinations, and roles."""
    functions = {
        values["function_name"]: values["arn"] for kind, values in resources(state) if kind == "aws_lambda_function"
    }
    of_role = {
        values["role"].rsplit("/", 1)[1]: values["arn"]
        for kind, values in resources(state)
        if "role" in values and kind == "aws_lambda_function"
    }
    buckets = {values["bucket"]: values["arn"] for kind, values in resources(state) if kind == "aws_s3_bucket"}
    wired = set()
    for kind, values in resources(state):
        if kind == "aws_s3_bucket_notification":
            for rule in values["lambda_function"]:
                label = f"ObjectCreated {rule['filter_prefix']}"
                yield Arrow(of_arn[buckets[values["bucket"]]], label, of_arn[rule["lambda_function_arn"]])
        elif kind == "aws_lambda_event_source_mapping":
            wired.add((values["function_arn"], values["event_source_arn"]))
            label = f"batches of up to {values['batch_size']}"
            yield Arrow(of_arn[values["event_source_arn"]], label, of_arn[values["function_arn"]])
        elif kind == "aws_sqs_queue" and values.get("redrive_policy"):
            redrive = json.loads(values["redrive_policy"])
            label = f"after {redrive['maxReceiveCount']} receives"
            yield Arrow(of_arn[values["arn"]], label, of_arn[redrive["deadLetterTargetArn"]], dotted=True)
        elif kind == "aws_lambda_function_event_invoke_config":
            function = functions[values["function_name"]]
            target = values["destination_config"][0]["on_failure"][0]["destination"]
            wired.add((function, target))
            label = f"after {values['maximum_retry_attempts'] + 1} failures"
            yield Arrow(of_arn[function], label, of_arn[target], dotted=True)
    for kind, values in resources(state):
        if kind == "aws_iam_role_policy":
            function = of_role[values["role"]]
            yield from _allowed(function, json.loads(values["policy"])["Statement"], of_arn, wired)


def _allowed(
    function: str, statements: list[dict[str, Any]], of_arn: Mapping[str, str], wired: set[tuple[str, str]]
) -> Iterator[Arrow]:
    """One arrow for each statement of a role and each box that it names; of a bucket, with the prefixes."""
    for statement in statements:
        actions = ", ".join(action.split(":")[1] for action in statement["Action"])
        paths: dict[str, list[str]] = {}
        for resource in statement["Resource"]:
            box, slash, path = resource.partition("/") if ":s3:::" in resource else (resource, "", "")
            paths.setdefault(box, []).extend([path] if slash else [])
        for arn, below in paths.items():
            if arn in of_arn and (function, arn) not in wired:
                yield Arrow(of_arn[function], "<br/>".join([actions, *below]), of_arn[arn])


def draw(state: Mapping[str, Any]) -> str:
    """The flow chart's text."""
    found = boxes(state)
    of_arn = {box.arn: box.id for box in found}
    lines = ["flowchart LR", *(f"    {box.id}{box.shape}" for box in found)]
    for arrow in arrows(state, of_arn):
        line = f'-. "{arrow.label}" .->' if arrow.dotted else f'-- "{arrow.label}" -->'
        lines.append(f"    {arrow.source} {line} {arrow.target}")
    return "\n".join(lines) + "\n"


def main() -> int:
    try:
        state = json.load(sys.stdin)
    except ValueError as error:
        print(f"error: standard input is not JSON ({error}): pipe in `terraform show -json`", file=sys.stderr)
        return FAILED
    if not state.get("values"):
        print("error: Terraform has created nothing here: run `make tf-apply` first", file=sys.stderr)
        return FAILED
    print(draw(state), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
