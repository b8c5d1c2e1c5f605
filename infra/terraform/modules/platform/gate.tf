# The quality gate: the Glue job that judges, and the workflow around it. The job exists once `make glue-assets` has uploaded
# what it runs.

locals {
  has_ge_job = var.gate.enabled && try(local.glue_assets.validate_silver, null) != null
  has_gate   = local.has_ge_job && var.gate.workflow_enabled

  # Marks are left for the announcer only where there is one: nobody else takes them away.
  gate_outboxes = local.has_gate && var.gate.emit_events ? ["events"] : []
}

module "ge_job" {
  source = "../glue_job"
  count  = local.has_ge_job ? 1 : 0

  project                  = var.project
  name                     = "validate"
  job_name                 = "${var.project}-validate-silver"
  description              = "Judges the committed files of one partition of Silver by its contract's quality rules."
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  kms_key_arn              = var.kms_key_arn

  artifacts_bucket = module.artifacts[0].name
  script_key       = local.glue_assets.validate_silver
  core_key         = local.glue_assets.core
  wheels_key       = local.glue_assets.wheels
  workers          = var.gate.workers
  timeout_minutes  = var.gate.timeout_minutes

  statements = {
    ReadRowsAndPlan = {
      actions   = ["s3:GetObject"]
      resources = ["${local.silver_arn}/silver/*", "${local.silver_arn}/ge/*"]
    }
    # Spark asks whether a path is a file or a folder; and a missing file is told apart from one that may not be read.
    LookAtPaths = {
      actions   = ["s3:ListBucket"]
      resources = [local.silver_arn]
      condition = { StringLike = { "s3:prefix" = ["ge/*", "silver/*"] } }
    }
    WriteResult = {
      actions   = ["s3:PutObject"]
      resources = ["${local.silver_arn}/ge/*"]
    }
  }
}

module "gate" {
  source = "../workflow_ge_gate"
  count  = local.has_gate ? 1 : 0

  project                  = var.project
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn

  job_name      = module.ge_job[0].name
  silver_bucket = module.pipeline.silver_bucket
  ledger_table  = module.pipeline.ledger_table
  arns          = module.pipeline.arns
  kms_key_arn   = var.kms_key_arn

  topic_arn          = coalesce(var.gate.topic_arn, var.pipeline.alarm_notification_topic_arn, "none") == "none" ? "" : coalesce(var.gate.topic_arn, var.pipeline.alarm_notification_topic_arn)
  topic_kms_key_arn  = var.gate.topic_kms_key_arn
  quarantine_enabled = var.gate.quarantine_enabled
  quarantine_prefix  = var.gate.quarantine_prefix

  emit_events         = var.gate.emit_events
  eventbridge_enabled = var.gate.eventbridge_enabled
  every_minutes       = var.gate.every_minutes

  image                 = try(var.pipeline.images["ops"], "")
  architecture          = var.pipeline.architecture
  environment           = var.pipeline.environment
  tracing_enabled       = var.pipeline.tracing_enabled
  application_log_level = var.pipeline.application_log_level
  system_log_level      = var.pipeline.system_log_level
  log_retention_days    = var.pipeline.log_retention_days

  alarms_enabled  = coalesce(var.pipeline.observability_enabled, false)
  alarm_topic_arn = module.pipeline.alarm_topic_arn
}
