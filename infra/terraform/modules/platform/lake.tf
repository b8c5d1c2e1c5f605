# The lake's tables. Their database is that of the catalog.
locals {
  lake_contracts = coalesce(var.catalog.contracts_dir, "${path.module}/../../../../contracts")

  lake_outboxes = var.lake.enabled ? ["publish"] : []
}

module "lake" {
  source = "../lake"
  count  = var.lake.enabled ? 1 : 0

  project                  = var.project
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn

  database = try(module.catalog[0].database_name, "")
  datasets = sort(distinct(flatten([
    for file in fileset(local.lake_contracts, "*.yaml") : yamldecode(file("${local.lake_contracts}/${file}")).schema[*].name
  ])))
  bronze_bucket     = module.pipeline.bronze_bucket
  silver_bucket     = module.pipeline.silver_bucket
  silver_bucket_arn = module.pipeline.arns.silver_bucket
  ledger_table      = module.pipeline.ledger_table
  ledger_table_arn  = module.pipeline.arns.ledger_table
  queue_url         = module.pipeline.queue_url
  ingest_function   = module.pipeline.ingest_function
  kms_key_arn       = var.kms_key_arn

  image                 = try(var.pipeline.images["ops"], "")
  architecture          = var.pipeline.architecture
  environment           = var.pipeline.environment
  tracing_enabled       = var.pipeline.tracing_enabled
  application_log_level = var.pipeline.application_log_level
  system_log_level      = var.pipeline.system_log_level
  log_retention_days    = var.pipeline.log_retention_days

  publish_schedule_expression  = var.lake.publish_schedule_expression
  maintain_schedule_expression = var.lake.maintain_schedule_expression
  alarms_enabled               = coalesce(var.pipeline.observability_enabled, false)
  alarm_topic_arn              = module.pipeline.alarm_topic_arn
  alarm_lag_seconds            = var.lake.alarm_lag_seconds
}
