# The whole pipeline: S3 Bronze -> ingest -> SQS -> transform -> S3 Silver, and the ledger. Both envs are this module.
# The queues, and who may send to them, are in queues.tf; the Bronze bucket and what it announces in bronze.tf; the rights to a
# KMS key in keys.tf.
#
# ARNs that policies name are built from names, so that `terraform plan` shows every policy in full before anything exists.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  limits         = jsondecode(file("${path.module}/../../names.json"))
  project_limits = local.limits.project
  functions      = jsondecode(file("${path.module}/../../functions.json")).pipeline

  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"

  bronze_bucket = coalesce(var.bronze_bucket_name, "${var.project}-bronze-${local.account}-${local.region}")
  silver_bucket = coalesce(var.silver_bucket_name, "${var.project}-silver-${local.account}-${local.region}")
  ledger_table  = "${var.project}-ledger"

  # Given in another spelling, such as Project, it takes this one's place: IAM takes both for one key, and refuses the role.
  own_tags        = { for key, value in { project = var.project } : key => value if !contains([for given in keys(var.tags) : lower(given)], key) }
  tags            = merge(local.own_tags, var.tags)
  restricted_tags = var.tag_iam_and_sqs ? local.tags : {}

  role_arns = {
    for function in local.functions :
    function => "${local.arn}:iam::${local.account}:role/${var.iam_name_prefix}${var.project}-${function}"
  }
}

# ---- ledger -----------------------------------------------------------------------------------------------------------

module "ledger" {
  source = "../ledger"

  name                = local.ledger_table
  kms_key_arn         = var.kms_key_arn
  deletion_protection = var.ledger_deletion_protection
  tags                = local.tags
}

# ---- buckets ----------------------------------------------------------------------------------------------------------

module "silver" {
  source = "../bucket"

  name            = local.silver_bucket
  kms_key_arn     = var.kms_key_arn
  noncurrent_days = var.silver_noncurrent_days
  expiration_days = var.quarantine_expiry_days == 0 ? {} : { "quarantine/" = var.quarantine_expiry_days }
  tags            = local.tags
}

# ---- functions --------------------------------------------------------------------------------------------------------

locals {
  environment = merge({
    BRONZE_BUCKET                = local.bronze_bucket
    QUEUE_URL                    = local.queue.url
    LEDGER_TABLE                 = local.ledger_table
    POWERTOOLS_METRICS_NAMESPACE = var.project
    POWERTOOLS_TRACE_DISABLED    = tostring(!var.tracing_enabled)
  }, var.environment)

  silver_arn = "${local.arn}:s3:::${local.silver_bucket}"
  ledger_arn = "${local.arn}:dynamodb:${local.region}:${local.account}:table/${local.ledger_table}"
}

module "ingest" {
  source = "../function"

  name                     = "${var.project}-ingest"
  description              = "Plans Bronze objects into units of work; never reads them."
  image_uri                = var.images["ingest"]
  architecture             = var.architecture
  memory_mb                = var.ingest_memory_mb
  timeout_seconds          = var.ingest_timeout_seconds
  reserved_concurrency     = lookup(var.reserved_concurrency, "ingest", -1)
  tracing_enabled          = var.tracing_enabled
  log_retention_days       = var.log_retention_days
  application_log_level    = var.application_log_level
  system_log_level         = var.system_log_level
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
  role_tags                = local.restricted_tags
  on_failure               = { queue_arn = local.ingest_failures.created_arn }

  environment = merge(local.environment, {
    POWERTOOLS_SERVICE_NAME = "ingest"
  })

  statements = merge(local.use_key.ingest, {
    KeepFailedEvents = { # Lambda sends them with this role
      actions   = ["sqs:SendMessage"]
      resources = [local.ingest_failures.arn]
    }
    SendUnits = {
      actions   = ["sqs:SendMessage"]
      resources = [local.queue.arn]
    }
    # A copy's metadata says which object it asks to finish. No other object is looked at.
    LookAtCopies = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.bronze_arn}/bronze/replay/*"]
    }
    PlanInLedger = {
      actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [local.ledger_arn]
    }
  })
}

module "transform" {
  source = "../function"

  name                     = "${var.project}-transform"
  description              = "Turns units of Bronze into Silver and quarantine, each row once."
  image_uri                = var.images["transform"]
  architecture             = var.architecture
  memory_mb                = var.transform_memory_mb
  timeout_seconds          = var.transform_timeout_seconds
  reserved_concurrency     = lookup(var.reserved_concurrency, "transform", -1)
  tracing_enabled          = var.tracing_enabled
  log_retention_days       = var.log_retention_days
  application_log_level    = var.application_log_level
  system_log_level         = var.system_log_level
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
  role_tags                = local.restricted_tags

  environment = merge(local.environment, {
    POWERTOOLS_SERVICE_NAME = "transform"
    SILVER_BUCKET           = local.silver_bucket
    DEAD_LETTER_QUEUE_URL   = local.dlq.url
    OUTBOXES                = join(",", sort(var.outboxes))
  })

  statements = merge(local.use_key.transform, {
    ReceiveUnits = {
      actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      resources = [local.queue.arn]
    }
    SendDeadLetters = {
      actions   = ["sqs:SendMessage"]
      resources = [local.dlq.arn]
    }
    ReadBronze = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.bronze_arn}/bronze/*"]
    }
    # S3 answers 403 for an object that does not exist, too, unless it takes us for somebody who may list the bucket. Where
    # it does not, since a request for an object names no prefix, the object is looked for in a listing.
    TellMissingFromForbidden = {
      actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
      resources = [local.bronze_arn]
      condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
    }
    WriteSilver = {
      actions   = ["s3:DeleteObject", "s3:PutObject"]
      resources = [for root in ["silver", "quarantine"] : "${local.silver_arn}/${root}/*"]
    }
    KeepLedger = {
      actions = [
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
      ]
      resources = [local.ledger_arn]
    }
  })
}

module "transform_source" {
  source = "../event_source"

  queue_arn               = local.queue.arn
  function_arn            = module.transform.arn
  batch_size              = var.batch_size
  batching_window_seconds = var.batching_window_seconds
  maximum_concurrency     = var.maximum_concurrency
  tags                    = local.tags

  depends_on = [module.queue, module.silver, module.ledger]
}
