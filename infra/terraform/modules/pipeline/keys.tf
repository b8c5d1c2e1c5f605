# What each role may do with customer managed keys: only what its calls need, and only through the service that it calls
# (kms:ViaService). Whoever sends to an encrypted queue needs both rights; whoever receives, reads or writes, one of them (KMS
# pages of the SQS, S3 and DynamoDB developer guides).

locals {
  key_uses = {
    ingest = {
      UseKeyOfLedger = { keys = [var.kms_key_arn], services = ["dynamodb"], actions = ["kms:Decrypt"] }
      UseKeyOfQueues = { keys = [var.kms_key_arn], services = ["sqs"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    }
    transform = {
      UseKeyOfLedger = { keys = [var.kms_key_arn], services = ["dynamodb"], actions = ["kms:Decrypt"] }
      UseKeyOfQueues = { keys = [var.kms_key_arn], services = ["sqs"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
      UseKeyOfBronze = { keys = [local.bronze_key_arn], services = ["s3"], actions = ["kms:Decrypt"] }
      UseKeyOfSilver = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:GenerateDataKey"] }
    }
  }

  # Role -> its statements; none where there is no key.
  use_key = { for role, made in module.key_use : role => made.statements }
}

module "key_use" {
  source   = "../key_use"
  for_each = local.key_uses

  uses = each.value
}
