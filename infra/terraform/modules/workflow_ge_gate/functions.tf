# The functions: the image `smelt-ops`, a handler and a role each. Every statement names what the code of that function calls;
# tests/integration/test_gate_policies.py compares them with the code.

locals {
  silver_arn = var.arns.silver_bucket
  ledger_arn = var.arns.ledger_table

  functions = merge(
    {
      gate = {
        handler     = "gate"
        description = "Plans a run of the gate, and ends it with a page, a marker and a note in the ledger."
        memory_mb   = 1769
        environment = {
          SILVER_BUCKET        = var.silver_bucket
          GE_QUARANTINE_PREFIX = var.quarantine_enabled ? var.quarantine_prefix : ""
        }
        keys = ["UseKeyOfDynamodb", "UseKeyOfS3"]
        statements = {
          ReadHistoryAndRuns = {
            actions   = ["s3:GetObject"]
            resources = ["${local.silver_arn}/history/*", "${local.silver_arn}/silver/*", "${local.silver_arn}/ge/*"]
          }
          WriteRuns = {
            actions   = ["s3:PutObject"]
            resources = ["${local.silver_arn}/ge/*"]
          }
          ListSilver = {
            actions   = ["s3:ListBucket"]
            resources = [local.silver_arn]
            condition = { StringLike = { "s3:prefix" = ["ge/*", "history/*", "silver/*"] } }
          }
          KeepLedger = {
            actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
            resources = [local.ledger_arn]
          }
        }
      }
    },
    var.emit_events ? {
      announce = {
        handler     = "announce"
        description = "Announces each partition that commits have written, a busy one once in a while."
        memory_mb   = 512
        environment = {
          PIPELINE               = var.project
          ANNOUNCE_EVERY_MINUTES = tostring(var.every_minutes)
        }
        keys = ["UseKeyOfDynamodb"]
        statements = {
          SendEvents = {
            actions   = ["events:PutEvents"]
            resources = [local.bus_arn]
            # A request has several entries, so IAM knows this key as a list (Service Authorization Reference, Amazon EventBridge).
            condition = {
              "ForAllValues:StringEquals" = { "events:source" = ["smelt"] }
              Null                        = { "events:source" = ["false"] }
            }
          }
          KeepLedger = {
            actions   = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem"]
            resources = [local.ledger_arn]
          }
          ReadMarks = {
            actions   = ["dynamodb:Query"]
            resources = ["${local.ledger_arn}/index/open_work"]
          }
        }
      }
    } : {},
  )
}

module "key_use" {
  source = "../key_use"

  uses = {
    UseKeyOfDynamodb = { keys = [var.kms_key_arn], services = ["dynamodb"], actions = ["kms:Decrypt"] }
    UseKeyOfS3       = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    UseKeyOfTopic    = { keys = [var.topic_kms_key_arn], services = ["sns"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }
}

module "function" {
  source   = "../function"
  for_each = local.functions

  name                     = "${var.project}-ge-${each.key}"
  description              = each.value.description
  image_uri                = var.image
  command                  = ["services.ops.app.${each.value.handler}.handler"]
  architecture             = var.architecture
  memory_mb                = each.value.memory_mb
  timeout_seconds          = 300
  tracing_enabled          = var.tracing_enabled
  log_retention_days       = var.log_retention_days
  application_log_level    = var.application_log_level
  system_log_level         = var.system_log_level
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.tags
  role_tags                = var.restricted_tags

  environment = merge({
    LEDGER_TABLE                 = var.ledger_table
    POWERTOOLS_METRICS_NAMESPACE = var.project
    POWERTOOLS_SERVICE_NAME      = "ge-${each.key}"
    POWERTOOLS_TRACE_DISABLED    = tostring(!var.tracing_enabled)
  }, each.value.environment, var.environment)

  statements = merge(
    { for sid, statement in module.key_use.statements : sid => statement if contains(each.value.keys, sid) },
    each.value.statements,
  )
}
