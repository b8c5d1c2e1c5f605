"""Python that talks to the AWS account around Terraform: before an apply, after it, and beside it.

`python -m infra.deploy --help` lists the commands; the Makefile calls them. Imports services.shared and services.ops.
"""
