"""The `smelt` program: its groups of commands."""

from __future__ import annotations

from services.ops.cli import (
    audit,
    compact,
    contracts,
    dlq,
    events,
    history,
    publish,
    quarantine,
    recompute,
    reconcile,
    redrive,
    reload,
    replay,
    retract,
    smoke,
    status,
    sweep,
    validate,
)
from services.ops.cli.console import make_app

app = make_app("Bronze JSON to Silver Parquet: what operators and authors of contracts need.")
app.add_typer(contracts.app, name="contracts")
app.add_typer(dlq.app, name="dlq")
app.add_typer(events.app, name="events")
app.add_typer(history.app, name="history")
app.add_typer(publish.app, name="publish")
app.add_typer(quarantine.app, name="quarantine")
app.command("audit")(audit.audit_pipeline)
app.command("compact")(compact.compact_partition)
app.command("recompute")(recompute.recompute_partition)
app.command("glue-job")(compact.show_job)
app.command("reconcile")(reconcile.reconcile_pipeline)
app.command("replay")(replay.replay_objects)
app.command("redrive")(redrive.redrive_letters)
app.command("reload")(reload.reload_files)
app.command("retract")(retract.retract_objects)
app.command("smoke")(smoke.smoke_pipeline)
app.command("status")(status.show_status)
app.command("sweep")(sweep.sweep_pipeline)
app.command("validate")(validate.validate_partition)
