# The platform in an AWS account. Values: dev.tfvars; images.auto.tfvars.json and queue.auto.tfvars.json are written by
# `make push-images` and scripts/create_sqs_queue.py.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# No default_tags: they would reach IAM roles and SQS queues, which restricted accounts refuse to tag.
provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == "" ? null : [var.account_id]
}

module "platform" {
  source = "../../modules/platform"

  project                   = var.project
  tags                      = var.tags
  tag_iam_and_sqs           = var.tag_iam_and_sqs
  iam_name_prefix           = var.iam_name_prefix
  permissions_boundary_arn  = var.permissions_boundary_arn
  kms_key_arn               = var.kms_key_arn
  artifacts_bucket_enabled  = var.artifacts_bucket_enabled
  operator_policies_enabled = var.operator_policies_enabled

  ops = {
    enabled                       = var.ops_enabled
    workflow_id                   = var.ops_workflow_id
    reserved_concurrency          = var.ops_reserved_concurrency
    schedule_enabled              = var.ops_schedule_enabled
    schedule_expression           = var.ops_schedule_expression
    schedule_input                = var.ops_schedule_input
    sweep_schedule_expression     = var.ops_sweep_schedule_expression
    archive_schedule_expression   = var.ops_archive_schedule_expression
    reconcile_schedule_expression = var.ops_reconcile_schedule_expression
  }

  catalog = {
    enabled                = var.glue_enabled
    contracts_dir          = var.contracts_dir
    queries_dir            = var.queries_dir
    left_out_datasets      = var.glue_left_out_datasets
    first_day              = var.glue_first_day
    first_load_day         = var.glue_first_load_day
    silver_prefix          = var.glue_silver_prefix
    table_prefix           = var.glue_table_prefix
    scan_limit_bytes       = var.athena_scan_limit_bytes
    results_days           = var.athena_results_days
    analyst_policy_enabled = var.glue_analyst_policy_enabled
  }

  lake = {
    enabled                      = var.lake_enabled
    publish_schedule_expression  = var.lake_publish_schedule_expression
    maintain_schedule_expression = var.lake_maintain_schedule_expression
    alarm_lag_seconds            = var.lake_alarm_lag_seconds
  }

  compaction = {
    enabled         = var.glue_job_enabled
    job_name        = var.glue_job_name
    script_key      = var.glue_job_script_key
    assets          = var.glue_assets
    output_prefixes = var.glue_job_output_prefixes
    workers         = var.glue_job_workers
  }

  gate = {
    enabled             = var.ge_enabled
    workflow_enabled    = var.ge_workflow_enabled
    emit_events         = var.ge_emit_events_from_transform
    eventbridge_enabled = var.ge_eventbridge_enabled
    every_minutes       = var.ge_every_minutes
    topic_arn           = var.ge_notification_topic_arn
    topic_kms_key_arn   = var.ge_notification_topic_kms_key_arn
    quarantine_enabled  = var.ge_quarantine_enabled
    quarantine_prefix   = var.ge_quarantine_prefix
    workers             = var.ge_job_workers
  }

  pipeline = {
    silver_bucket_name                 = var.silver_bucket_name
    images                             = var.images
    architecture                       = var.architecture
    ingest_memory_mb                   = var.ingest_memory_mb
    ingest_timeout_seconds             = var.ingest_timeout_seconds
    transform_memory_mb                = var.transform_memory_mb
    transform_timeout_seconds          = var.transform_timeout_seconds
    reserved_concurrency               = var.reserved_concurrency
    environment                        = var.environment
    tracing_enabled                    = var.tracing_enabled
    application_log_level              = var.application_log_level
    system_log_level                   = var.system_log_level
    log_retention_days                 = var.log_retention_days
    silver_noncurrent_days             = var.silver_noncurrent_days
    quarantine_expiry_days             = var.quarantine_expiry_days
    ledger_deletion_protection         = var.ledger_deletion_protection
    observability_enabled              = var.observability_enabled
    alarm_notification_topic_arn       = var.alarm_notification_topic_arn
    alarm_oldest_message_seconds       = var.alarm_oldest_message_seconds
    alarm_quarantine_percent           = var.alarm_quarantine_percent
    alarm_no_data_hours                = var.alarm_no_data_hours
    create_bronze_bucket               = var.create_bronze_bucket
    bronze_bucket_name                 = var.bronze_bucket_name
    bronze_kms_key_arn                 = var.bronze_kms_key_arn
    bronze_eventbridge_enabled         = var.bronze_eventbridge_enabled
    bronze_noncurrent_days             = var.bronze_noncurrent_days
    batch_size                         = var.batch_size
    batching_window_seconds            = var.batching_window_seconds
    maximum_concurrency                = var.maximum_concurrency
    max_receive_count                  = var.max_receive_count
    max_message_bytes                  = var.max_message_bytes
    operator_principal_arns            = var.operator_principal_arns
    existing_queue_url                 = var.existing_queue_url
    existing_queue_arn                 = var.existing_queue_arn
    existing_dlq_url                   = var.existing_dlq_url
    existing_dlq_arn                   = var.existing_dlq_arn
    existing_ingest_failures_queue_url = var.existing_ingest_failures_queue_url
    existing_ingest_failures_queue_arn = var.existing_ingest_failures_queue_arn
  }
}
