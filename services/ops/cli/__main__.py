"""`python -m services.ops.cli` is the `smelt` command."""

from services.ops.cli.app import main

main()
