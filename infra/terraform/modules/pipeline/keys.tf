# What each role may do with customer managed keys: only what its calls need, and only through the service that it calls
# (kms:ViaService). Whoever sends to an encrypted queue needs both rights; whoever receives, reads or writes, one of them (KMS
# pages of the SQS, S3 and DynamoDB developer guides).

locals {
  key_uses = {
    ingest = {
      UseKeyOfLedger = { key = var.kms_key_arn, service = "dynamodb", actions = ["kms:Decrypt"] }
      UseKeyOfQueues = { key = var.kms_key_arn, service = "sqs", actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    }
    transform = {
      UseKeyOfLedger = { key = var.kms_key_arn, service = "dynamodb", actions = ["kms:Decrypt"] }
      UseKeyOfQueues = { key = var.kms_key_arn, service = "sqs", actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
      UseKeyOfBronze = { key = local.bronze_key_arn, service = "s3", actions = ["kms:Decrypt"] }
      UseKeyOfSilver = { key = var.kms_key_arn, service = "s3", actions = ["kms:GenerateDataKey"] }
    }
  }

  # KMS documents the first for every region; services in China are reached, and may name themselves, by the second.
  service_suffixes = distinct(["amazonaws.com", data.aws_partition.current.dns_suffix])

  # Role -> its statements; none where there is no key.
  use_key = {
    for role, uses in local.key_uses : role => {
      for sid, use in uses : sid => {
        actions   = use.actions
        resources = [use.key]
        condition = { StringEquals = { "kms:ViaService" = [
          for suffix in local.service_suffixes : "${use.service}.${local.region}.${suffix}"
        ] } }
      } if use.key != ""
    }
  }
}
