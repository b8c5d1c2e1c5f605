# Managed policies for the roles of people who operate a pipeline: look, redrive, replay, retract. Each names its actions and
# resources. Attach `read`, and beside it what a person may change.
#
# `redrive` and `replay` send units; the queue's own policy must admit the role too (operator_principal_arns).

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_iam_policy

  write_ledger = {
    actions   = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [var.arns.ledger_table]
  }
  send_units = {
    actions   = ["sqs:SendMessage"]
    resources = [var.arns.queue]
  }
  invoke_ingest = {
    actions   = ["lambda:InvokeFunction"]
    resources = [var.ingest_function_arn]
  }
  read_bronze = {
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${var.arns.bronze_bucket}/bronze/*"]
  }

  letters = compact([var.arns.dlq, var.arns.ingest_failures_queue])

  statements = {
    read = merge({
      ReadLedger = {
        actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
        resources = [var.arns.ledger_table, "${var.arns.ledger_table}/index/open_work"]
      }
      MeasureQueues = {
        actions   = ["sqs:GetQueueAttributes"]
        resources = concat([var.arns.queue], local.letters)
      }
      LookAtLetters = { # SQS has no reading without receiving; a look makes visible again what it has received
        actions   = ["sqs:ChangeMessageVisibility", "sqs:ReceiveMessage"]
        resources = local.letters
      }
      ListBuckets = {
        actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
        resources = [var.arns.bronze_bucket, var.arns.silver_bucket]
      }
      ReadHistoryAndQuarantine = {
        actions   = ["s3:GetObject"]
        resources = [for root in ["history", "quarantine"] : "${var.arns.silver_bucket}/${root}/*"]
      }
      }, length(var.lake_table_arns) == 0 ? {} : {
      ReadLakeTables = {
        actions   = ["glue:GetTable"]
        resources = var.lake_table_arns
      }
      ReadLakeFiles = { # metadata of the tables, and what compactions say that they have done
        actions   = ["s3:GetObject"]
        resources = [for root in ["lake", "silver_compacted"] : "${var.arns.silver_bucket}/${root}/*"]
      }
    })
    redrive = merge({
      DeleteLetters = {
        actions   = ["sqs:DeleteMessage"]
        resources = local.letters
      }
      SendUnits    = local.send_units
      InvokeIngest = local.invoke_ingest
      }, var.arns.dlq == "" ? {} : {
      MoveDeadLetters = {
        actions   = ["sqs:ListMessageMoveTasks", "sqs:StartMessageMoveTask"]
        resources = [var.arns.dlq]
      }
    })
    replay = {
      WriteLedger  = local.write_ledger
      SendUnits    = local.send_units
      InvokeIngest = local.invoke_ingest
      ReadBronze   = local.read_bronze
      CopyForReplay = {
        actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
        resources = ["${var.arns.bronze_bucket}/bronze/replay/*"]
      }
    }
    retract = {
      WriteLedger = local.write_ledger
      ReadBronze  = local.read_bronze
      RewriteFiles = {
        actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        resources = [for root in ["quarantine", "silver"] : "${var.arns.silver_bucket}/${root}/*"]
      }
      WriteHistory = {
        actions   = ["s3:PutObject"]
        resources = ["${var.arns.silver_bucket}/history/*"]
      }
    }
  }

  policies = {
    for name, statements in local.statements : name => [
      for sid, statement in merge(statements, module.key_use.statements) : merge(
        { Sid = sid, Effect = "Allow", Action = statement.actions, Resource = statement.resources },
        can(statement.condition) ? { Condition = statement.condition } : {},
      ) if length(statement.resources) > 0
    ]
  }
}

# With keys of one's own: only through the services that the policies use.
module "key_use" {
  source = "../key_use"

  uses = {
    UseKeys = { keys = var.kms_key_arns, services = ["dynamodb", "s3", "sqs"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name        = "${var.iam_name_prefix}${var.project}-operator-${each.key}"
  description = "For operators of ${var.project}: ${each.key}. docs/operations.md"
  tags        = var.tags
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value })

  lifecycle {
    precondition {
      condition     = length("${var.iam_name_prefix}${var.project}-operator-${each.key}") <= local.limits.max
      error_message = "The policy's name ${var.iam_name_prefix}${var.project}-operator-${each.key} is too long: IAM takes ${local.limits.max} characters. Shorten iam_name_prefix or project."
    }
  }
}
