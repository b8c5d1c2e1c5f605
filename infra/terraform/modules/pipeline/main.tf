# The whole pipeline: S3 Bronze -> ingest -> SQS -> transform -> S3 Silver, and the ledger. Both envs are this module.
#
# ARNs that roles name are built from names, so that `terraform plan` shows every policy in full before anything exists.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"

  bronze_bucket = coalesce(var.bronze_bucket_name, "${var.project}-bronze-${local.account}-${local.region}")
  silver_bucket = coalesce(var.silver_bucket_name, "${var.project}-silver-${local.account}-${local.region}")
  ledger_table  = "${var.project}-ledger"

  tags            = merge({ project = var.project }, var.tags)
  restricted_tags = var.tag_iam_and_sqs ? local.tags : {}
}

# ---- queues -----------------------------------------------------------------------------------------------------------

locals {
  manages_queues = var.existing_queue_url == ""
  sqs            = "${local.arn}:sqs:${local.region}:${local.account}"

  queue = local.manages_queues ? {
    name = "${var.project}-events"
    url  = module.queue[0].url
    arn  = "${local.sqs}:${var.project}-events"
    } : {
    name = element(split(":", var.existing_queue_arn), 5)
    url  = var.existing_queue_url
    arn  = var.existing_queue_arn
  }
  dlq = local.manages_queues ? {
    name = "${var.project}-events-dlq"
    url  = module.queue[0].dead_letter_url
    arn  = "${local.sqs}:${var.project}-events-dlq"
    } : {
    name = try(element(split(":", var.existing_dlq_arn), 5), "")
    url  = var.existing_dlq_url
    arn  = var.existing_dlq_arn
  }

  # Where S3 events go that ingest failed on; with an existing queue and none of its own, to that queue's dead letters.
  ingest_failures = local.manages_queues ? {
    name        = "${var.project}-ingest-failures"
    url         = module.ingest_failures[0].url
    arn         = "${local.sqs}:${var.project}-ingest-failures"
    created_arn = module.ingest_failures[0].arn # the same, once it exists
    } : {
    name        = try(element(split(":", local.existing_failures.arn), 5), "")
    url         = local.existing_failures.url
    arn         = local.existing_failures.arn
    created_arn = local.existing_failures.arn
  }
  existing_failures = var.existing_ingest_failures_queue_arn != "" ? {
    arn = var.existing_ingest_failures_queue_arn
    url = var.existing_ingest_failures_queue_url
    } : {
    arn = var.existing_dlq_arn
    url = var.existing_dlq_url
  }
  keeps_failed_events = local.ingest_failures.arn != ""
}

module "queue" {
  source = "../queue"
  count  = local.manages_queues ? 1 : 0

  name                       = "${var.project}-events"
  visibility_timeout_seconds = 6 * var.transform_timeout_seconds
  dead_letter                = true
  max_receive_count          = var.max_receive_count
  max_message_bytes          = var.max_message_bytes
  tags                       = local.restricted_tags
}

module "ingest_failures" {
  source = "../queue"
  count  = local.manages_queues ? 1 : 0

  name              = "${var.project}-ingest-failures"
  max_message_bytes = var.max_message_bytes
  tags              = local.restricted_tags
}

check "failed_events_are_kept" {
  assert {
    condition     = local.keeps_failed_events
    error_message = "An S3 event that ingest fails on three times would be dropped: with an existing queue, set existing_ingest_failures_queue_url and _arn, or existing_dlq_url and _arn (scripts/create_sqs_queue.py --with-dlq writes them all)."
  }
}

check "region_of_the_existing_queue" {
  assert {
    condition     = local.manages_queues || element(split(":", local.queue.arn), 3) == local.region
    error_message = "The queue in existing_queue_arn is in another region than the pipeline (${local.region}); Lambda reads queues of its own region only."
  }
}

# ---- ledger -----------------------------------------------------------------------------------------------------------

module "ledger" {
  source = "../ledger"

  name                = local.ledger_table
  deletion_protection = var.ledger_deletion_protection
  tags                = local.tags
}

# ---- buckets ----------------------------------------------------------------------------------------------------------

module "bronze" {
  source = "../bucket"

  name            = local.bronze_bucket
  noncurrent_days = var.bronze_noncurrent_days
  tags            = local.tags
}

module "silver" {
  source = "../bucket"

  name            = local.silver_bucket
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
    POWERTOOLS_LOG_LEVEL         = "INFO"
    POWERTOOLS_TRACE_DISABLED    = tostring(!var.tracing_enabled)
  }, var.environment)

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
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
  role_tags                = local.restricted_tags
  on_failure               = local.keeps_failed_events ? { queue_arn = local.ingest_failures.created_arn } : null

  environment = merge(local.environment, {
    POWERTOOLS_SERVICE_NAME = "ingest"
  })

  statements = merge(local.keeps_failed_events ? {
    KeepFailedEvents = {
      actions   = ["sqs:SendMessage"]
      resources = [local.ingest_failures.arn]
    }
    } : {}, {
    SendUnits = {
      actions   = ["sqs:SendMessage"]
      resources = [local.queue.arn]
    }
    PlanInLedger = {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
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
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
  role_tags                = local.restricted_tags

  environment = merge(local.environment, {
    POWERTOOLS_SERVICE_NAME = "transform"
    SILVER_BUCKET           = local.silver_bucket
  })

  statements = {
    ReceiveUnits = {
      actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      resources = [local.queue.arn]
    }
    ReadBronze = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.arn}:s3:::${local.bronze_bucket}/bronze/*"]
    }
    WriteSilver = {
      actions   = ["s3:DeleteObject", "s3:PutObject"]
      resources = [for root in ["silver", "quarantine"] : "${local.arn}:s3:::${local.silver_bucket}/${root}/*"]
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
  }
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

module "bronze_notification" {
  source = "../notification"

  bucket_name   = module.bronze.name
  bucket_arn    = module.bronze.arn
  account       = local.account
  prefix        = "bronze/"
  function_name = module.ingest.name
  function_arn  = module.ingest.arn

  # Nothing is announced before everything that follows an announcement is there.
  depends_on = [module.ledger, module.transform_source]
}
