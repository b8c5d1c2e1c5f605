"""`smelt events`: the announcements of written partitions."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import RegionOption, explain, make_app, show
from services.ops.cli.options import TableOption
from services.ops.errors import OperatorError
from services.shared.aws import aws_client
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox

app = make_app("Announcements of written partitions, for the gate.")


@app.callback()
def _group() -> None:
    """Announcements of written partitions, for the gate."""


@app.command("off")
def switch_off(table: TableOption = "", region: RegionOption = None) -> None:
    """Forget what waits to be announced: nobody announces written partitions any more.

    First deploy without ge_emit_events_from_transform, so that transform leaves no more marks. Until this is run, what
    waits keeps its lots in the ledger.

    Example: smelt events off
    """
    if not table:
        raise OperatorError("No pipeline given: pass --table, or set LEDGER_TABLE.")
    try:
        forgotten = Ledger(aws_client("dynamodb", region), table).marks.close_outbox(Outbox.EVENTS)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Cannot change the ledger {table}: {explain(error)}") from error
    show(f"Announcements are off: {forgotten:,} marks were waiting, and are forgotten")
