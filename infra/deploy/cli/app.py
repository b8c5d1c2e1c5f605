"""The program `python -m infra.deploy`: what the Makefile runs around Terraform."""

from __future__ import annotations

from infra.deploy.cli import buckets, images, outputs, preflight
from services.ops.cli.console import make_app

app = make_app("What deploying smelt needs beside Terraform. The Makefile calls these commands.")
app.command("preflight")(preflight.check_plan)
app.command("push-images")(images.push_images)
app.command("empty-buckets")(buckets.empty_buckets)
app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(
    outputs.run_with_outputs
)
