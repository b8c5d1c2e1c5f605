"""The `smelt` program: what operators do, and what one does with one's own files on one's own machine.

Commands import what they need when they run: `smelt audit` does not wait for DuckDB.
"""

from __future__ import annotations

from services.ops.cli.app import app as operators
from services.ops.cli.console import make_app
from workbench.cli import infer, query, report, trial

app = make_app("Bronze JSON to Silver Parquet: on your own files, for authors of contracts, and for operators.")
app.command("try")(trial.try_files)
app.command("infer")(infer.infer_contract)
app.command("query")(query.query_silver)
app.command("report")(report.report_pipeline)
app.add_typer(operators)
