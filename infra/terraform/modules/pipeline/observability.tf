module "observability" {
  source = "../observability"
  count  = var.observability_enabled ? 1 : 0

  name                       = var.project
  region                     = local.region
  metrics_namespace          = var.project
  queue_name                 = local.queue.name
  dlq_name                   = local.dlq.name
  ingest_failures_queue_name = local.ingest_failures.name
  object_events_rule_name    = var.create_bronze_bucket ? "" : local.bronze_rule
  ledger_table               = local.ledger_table
  bronze_bucket              = local.bronze_bucket
  silver_bucket              = local.silver_bucket
  notification_topic_arn     = var.alarm_notification_topic_arn
  oldest_message_seconds     = var.alarm_oldest_message_seconds
  quarantine_percent         = var.alarm_quarantine_percent
  no_data_hours              = var.alarm_no_data_hours
  tags                       = local.tags

  functions = {
    ingest = {
      name            = "${var.project}-ingest"
      timeout_seconds = var.ingest_timeout_seconds
      memory_mb       = var.ingest_memory_mb
    }
    transform = {
      name            = "${var.project}-transform"
      timeout_seconds = var.transform_timeout_seconds
      memory_mb       = var.transform_memory_mb
    }
  }
}
