# Everything that an environment deploys. Each part is a module; this one only wires them. README.md says where the next
# parts go.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # By name: the function itself needs the queue whose policy this goes into.
  unit_sender_arns = !var.ops.enabled ? [] : [format(
    "arn:%s:iam::%s:role/%s%s-ops-reconcile",
    data.aws_partition.current.partition,
    data.aws_caller_identity.current.account_id,
    var.iam_name_prefix == null ? "" : var.iam_name_prefix,
    var.project,
  )]
}

module "pipeline" {
  source = "../pipeline"

  project                  = var.project
  tags                     = var.tags
  tag_iam_and_sqs          = var.tag_iam_and_sqs
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  kms_key_arn              = var.kms_key_arn

  silver_bucket_name                 = var.pipeline.silver_bucket_name
  images                             = var.pipeline.images
  architecture                       = var.pipeline.architecture
  ingest_memory_mb                   = var.pipeline.ingest_memory_mb
  ingest_timeout_seconds             = var.pipeline.ingest_timeout_seconds
  transform_memory_mb                = var.pipeline.transform_memory_mb
  transform_timeout_seconds          = var.pipeline.transform_timeout_seconds
  reserved_concurrency               = var.pipeline.reserved_concurrency
  environment                        = var.pipeline.environment
  tracing_enabled                    = var.pipeline.tracing_enabled
  application_log_level              = var.pipeline.application_log_level
  system_log_level                   = var.pipeline.system_log_level
  log_retention_days                 = var.pipeline.log_retention_days
  silver_noncurrent_days             = var.pipeline.silver_noncurrent_days
  quarantine_expiry_days             = var.pipeline.quarantine_expiry_days
  ledger_deletion_protection         = var.pipeline.ledger_deletion_protection
  observability_enabled              = var.pipeline.observability_enabled
  alarm_notification_topic_arn       = var.pipeline.alarm_notification_topic_arn
  alarm_oldest_message_seconds       = var.pipeline.alarm_oldest_message_seconds
  alarm_quarantine_percent           = var.pipeline.alarm_quarantine_percent
  alarm_no_data_hours                = var.pipeline.alarm_no_data_hours
  create_bronze_bucket               = var.pipeline.create_bronze_bucket
  bronze_bucket_name                 = var.pipeline.bronze_bucket_name
  bronze_kms_key_arn                 = var.pipeline.bronze_kms_key_arn
  bronze_eventbridge_enabled         = var.pipeline.bronze_eventbridge_enabled
  bronze_noncurrent_days             = var.pipeline.bronze_noncurrent_days
  batch_size                         = var.pipeline.batch_size
  batching_window_seconds            = var.pipeline.batching_window_seconds
  maximum_concurrency                = var.pipeline.maximum_concurrency
  max_receive_count                  = var.pipeline.max_receive_count
  max_message_bytes                  = var.pipeline.max_message_bytes
  unit_sender_arns                   = local.unit_sender_arns
  outboxes                           = concat(local.gate_outboxes, local.lake_outboxes)
  operator_principal_arns            = var.pipeline.operator_principal_arns
  existing_queue_url                 = var.pipeline.existing_queue_url
  existing_queue_arn                 = var.pipeline.existing_queue_arn
  existing_dlq_url                   = var.pipeline.existing_dlq_url
  existing_dlq_arn                   = var.pipeline.existing_dlq_arn
  existing_ingest_failures_queue_url = var.pipeline.existing_ingest_failures_queue_url
  existing_ingest_failures_queue_arn = var.pipeline.existing_ingest_failures_queue_arn
}

module "ops" {
  source = "../workflow_ops"
  count  = var.ops.enabled ? 1 : 0

  project                  = var.project
  workflow_id              = var.ops.workflow_id
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn

  bronze_bucket      = module.pipeline.bronze_bucket
  silver_bucket      = module.pipeline.silver_bucket
  ledger_table       = module.pipeline.ledger_table
  queue_url          = module.pipeline.queue_url
  ingest_function    = module.pipeline.ingest_function
  arns               = module.pipeline.arns
  kms_key_arn        = var.kms_key_arn
  bronze_kms_key_arn = module.pipeline.bronze_key_arn

  # By name, so that a plan shows the whole policy.
  ingest_function_arn = format(
    "arn:%s:lambda:%s:%s:function:%s-ingest",
    data.aws_partition.current.partition,
    data.aws_region.current.name,
    data.aws_caller_identity.current.account_id,
    var.project,
  )

  image                 = try(var.pipeline.images["ops"], "")
  architecture          = var.pipeline.architecture
  reserved_concurrency  = var.ops.reserved_concurrency
  environment           = var.pipeline.environment
  tracing_enabled       = var.pipeline.tracing_enabled
  application_log_level = var.pipeline.application_log_level
  system_log_level      = var.pipeline.system_log_level
  log_retention_days    = var.pipeline.log_retention_days

  schedule_enabled              = var.ops.schedule_enabled
  schedule_expression           = var.ops.schedule_expression
  schedule_input                = var.ops.schedule_input
  sweep_schedule_expression     = var.ops.sweep_schedule_expression
  archive_schedule_expression   = var.ops.archive_schedule_expression
  reconcile_schedule_expression = var.ops.reconcile_schedule_expression

  alarms_enabled  = coalesce(var.pipeline.observability_enabled, false)
  alarm_topic_arn = module.pipeline.alarm_topic_arn
}

# What jobs run, by revision; nothing in it is data.
module "artifacts" {
  source = "../bucket"
  count  = var.artifacts_bucket_enabled || var.compaction.enabled || var.gate.enabled ? 1 : 0

  name        = "${var.project}-artifacts-${data.aws_caller_identity.current.account_id}-${data.aws_region.current.name}"
  kms_key_arn = var.kms_key_arn
  tags        = module.pipeline.tags
}

# For the roles of people; attached to nobody here.
module "operator_policies" {
  source = "../operator_policies"
  count  = var.operator_policies_enabled ? 1 : 0

  project             = var.project
  iam_name_prefix     = var.iam_name_prefix
  arns                = module.pipeline.arns
  lake_table_arns     = try(module.lake[0].table_arns, [])
  ingest_function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:function:${var.project}-ingest" # known before it exists
  kms_key_arns        = distinct([for arn in [var.kms_key_arn, var.pipeline.bronze_kms_key_arn] : arn if try(length(arn), 0) > 0])
  tags                = module.pipeline.restricted_tags
}
