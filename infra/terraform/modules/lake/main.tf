# The lake's tables: the functions that commit to them and look after them, with their schedules and alarms. The tables
# themselves are made by the publisher, from the contracts, in the database that modules/catalog has.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"
  name    = "${var.project}-lake"

  schedule = jsondecode(file("${path.module}/../../names.json")).texts["aws_scheduler_schedule.schedule_expression"]

  timeout_seconds = 900 # Lambda's limit; each function stops in time and goes on in its next run

  glue = "${local.arn}:glue:${local.region}:${local.account}"
  tables = concat(
    ["${local.glue}:catalog", "${local.glue}:database/${var.database}"],
    [for dataset in var.datasets : "${local.glue}:table/${var.database}/${dataset}"],
  )

  keep_ledger = {
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [var.ledger_table_arn]
  }

  functions = {
    publish = {
      description = "Publishes committed lots into the lake's tables."
      expression  = var.publish_schedule_expression
      statements = {
        KeepLedger = local.keep_ledger
        ReadMarks = {
          actions   = ["dynamodb:Query"]
          resources = ["${var.ledger_table_arn}/index/open_work"]
        }
        CommitTables = {
          actions   = ["glue:CreateTable", "glue:GetDatabase", "glue:GetTable", "glue:UpdateTable"]
          resources = local.tables
        }
        # Rows are never written: the files are transform's and the compaction's.
        ReadRows = {
          actions   = ["s3:GetObject"]
          resources = [for root in ["silver", "silver_compacted", "history"] : "${var.silver_bucket_arn}/${root}/*"]
        }
        # What a commit has written that lost its race is deleted.
        WriteMetadata = {
          actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          resources = ["${var.silver_bucket_arn}/lake/*"]
        }
        # The backfill lists Silver. Without a prefix, because PyIceberg looks whether each metadata file that it is about to
        # write exists: S3 answers 404 only to whoever may list the bucket, and such a request has no prefix to be compared.
        List = {
          actions   = ["s3:ListBucket"]
          resources = [var.silver_bucket_arn]
        }
      }
    }
    maintain = {
      description = "Expires old snapshots of the lake's tables, and deletes what no snapshot names. Never Silver."
      expression  = var.maintain_schedule_expression
      statements = {
        KeepLedger = local.keep_ledger
        CommitTables = {
          actions   = ["glue:GetDatabase", "glue:GetTable", "glue:UpdateTable"] # a commit looks at the database, too
          resources = local.tables
        }
        TidyMetadata = {
          actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          resources = ["${var.silver_bucket_arn}/lake/*"]
        }
        TidyRuns = {
          actions   = ["s3:DeleteObject", "s3:GetObject"]
          resources = ["${var.silver_bucket_arn}/silver_compacted/*"]
        }
        # As for publish.
        List = {
          actions   = ["s3:ListBucket"]
          resources = [var.silver_bucket_arn]
        }
      }
    }
  }

  schedules = { for function, made in local.functions : function => made if made.expression != "" }
}

module "key_use" {
  source = "../key_use"

  uses = {
    UseKeyOfLedger = { keys = [var.kms_key_arn], services = ["dynamodb"], actions = ["kms:Decrypt"] }
    UseKeyOfSilver = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }
}

module "function" {
  source   = "../function"
  for_each = local.functions

  name                     = "${local.name}-${each.key}"
  description              = each.value.description
  image_uri                = var.image
  command                  = ["services.ops.app.${each.key}.handler"]
  architecture             = var.architecture
  memory_mb                = var.memory_mb
  timeout_seconds          = local.timeout_seconds
  reserved_concurrency     = -1
  tracing_enabled          = var.tracing_enabled
  log_retention_days       = var.log_retention_days
  application_log_level    = var.application_log_level
  system_log_level         = var.system_log_level
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.tags
  role_tags                = var.restricted_tags

  environment = merge({
    BRONZE_BUCKET                = var.bronze_bucket
    SILVER_BUCKET                = var.silver_bucket
    LEDGER_TABLE                 = var.ledger_table
    INGEST_FUNCTION              = var.ingest_function
    QUEUE_URL                    = var.queue_url
    LAKE_DATABASE                = var.database
    POWERTOOLS_METRICS_NAMESPACE = var.project
    POWERTOOLS_SERVICE_NAME      = "lake-${each.key}"
    POWERTOOLS_TRACE_DISABLED    = tostring(!var.tracing_enabled)
  }, var.environment)

  statements = merge(module.key_use.statements, each.value.statements)
}

# ---- schedules --------------------------------------------------------------------------------------------------------

resource "aws_scheduler_schedule_group" "this" {
  count = length(local.schedules) == 0 ? 0 : 1

  name = local.name
  tags = var.tags
}

module "scheduler_role" {
  source = "../role"
  count  = length(local.schedules) == 0 ? 0 : 1

  name                     = "${local.name}-scheduler"
  description              = "What the schedules of ${local.name} start."
  service                  = "scheduler.amazonaws.com"
  source_arns              = ["${local.arn}:scheduler:${local.region}:${local.account}:schedule-group/${local.name}"]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = {
    InvokeFunctions = {
      actions   = ["lambda:InvokeFunction"]
      resources = [for function in keys(local.schedules) : "${local.arn}:lambda:${local.region}:${local.account}:function:${local.name}-${function}"]
    }
  }
}

resource "aws_scheduler_schedule" "this" {
  # checkov:skip=CKV_AWS_297: a schedule holds no data; AWS encrypts it with its own key
  for_each = local.schedules

  name                = "${local.name}-${each.key}"
  description         = "Starts ${local.name}-${each.key}"
  group_name          = aws_scheduler_schedule_group.this[0].name
  schedule_expression = each.value.expression

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = module.function[each.key].arn
    role_arn = module.scheduler_role[0].arn
    input    = "{}"

    # A run that is missed is made up for by the next one, which goes on where the last one stopped.
    retry_policy {
      maximum_event_age_in_seconds = 60
      maximum_retry_attempts       = 0
    }
  }

  depends_on = [module.scheduler_role]
}
