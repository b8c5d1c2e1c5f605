# The same platform on MiniStack, with the real images: `make tf-test`. The emulator's address comes from
# AWS_ENDPOINT_URL; without it the credentials below are refused by AWS.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region                      = var.region
  allowed_account_ids         = ["000000000000"] # the emulator's: never a real account
  access_key                  = "test"
  secret_key                  = "test"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false # resources' ARNs are built from it
}

module "platform" {
  source = "../../modules/platform"

  project         = var.project
  tag_iam_and_sqs = true

  operator_policies_enabled = var.operator_policies_enabled

  ops = {
    enabled                       = var.ops_enabled
    sweep_schedule_expression     = "rate(1 minute)"
    archive_schedule_expression   = "" # as the tests start it
    reconcile_schedule_expression = ""
  }

  catalog = {
    enabled                = var.glue_enabled
    contracts_dir          = var.contracts_dir
    queries_dir            = var.queries_dir
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
    create_bronze_bucket               = var.create_bronze_bucket
    bronze_bucket_name                 = var.bronze_bucket_name
    images                             = var.images
    transform_timeout_seconds          = 60
    tracing_enabled                    = false # the runtime interface emulator has no X-Ray daemon
    quarantine_expiry_days             = 30
    ledger_deletion_protection         = false
    observability_enabled              = var.observability_enabled
    batching_window_seconds            = 1
    existing_queue_url                 = var.existing_queue_url
    existing_queue_arn                 = var.existing_queue_arn
    existing_dlq_url                   = var.existing_dlq_url
    existing_dlq_arn                   = var.existing_dlq_arn
    existing_ingest_failures_queue_url = var.existing_ingest_failures_queue_url
    existing_ingest_failures_queue_arn = var.existing_ingest_failures_queue_arn
  }
}
