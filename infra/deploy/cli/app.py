"""The program `python -m infra.deploy`: what the Makefile runs around Terraform."""

from __future__ import annotations

from infra.deploy.cli import account, buckets, crawler, glue_assets, images, outputs, preflight, workflow
from services.ops.cli.console import make_app

app = make_app("What deploying smelt needs beside Terraform. The Makefile calls these commands.")
app.command("signed-in")(account.check_account)
app.command("preflight")(preflight.check_plan)
app.command("push-images")(images.push_images)
app.command("empty-buckets")(buckets.empty_buckets)
app.command("ops-start")(workflow.start_workflow)
app.command("ops-status")(workflow.show_status)
app.command("ops-history")(workflow.show_history)
app.command("ge-start")(workflow.start_gate)
app.command("ge-status")(workflow.show_gate_status)
app.command("ge-history")(workflow.show_gate_history)
app.command("glue-crawler-start")(crawler.start_crawler)
app.command("glue-crawler-status")(crawler.show_crawler)
app.command("glue-assets")(glue_assets.upload_assets)
app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(
    outputs.run_with_outputs
)
