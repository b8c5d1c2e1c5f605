# What a role or a policy may do with customer managed keys: only the named actions, and only through the services that it
# calls (kms:ViaService). Creates nothing; gives the statements, none where there is no key.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # KMS documents the first for every region; services in China are reached, and may name themselves, by the second.
  suffixes = distinct(["amazonaws.com", data.aws_partition.current.dns_suffix])

  region = data.aws_region.current.name
}
