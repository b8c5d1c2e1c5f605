"""`python -m infra.deploy`: the commands of this package."""

from __future__ import annotations

from services.ops.cli.interrupts import quiet_until_run

if __name__ == "__main__":
    quiet_until_run()
    from infra.deploy.cli.app import app
    from services.ops.cli.console import run

    run(app)
