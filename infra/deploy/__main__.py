"""`python -m infra.deploy`: the commands of this package."""

from infra.deploy.cli.app import main

main()
