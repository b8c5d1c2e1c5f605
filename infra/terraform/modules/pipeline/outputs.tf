output "bronze_bucket" {
  description = "Upload to `bronze/<dataset>/` in this bucket."
  value       = module.bronze.name
}

output "silver_bucket" {
  description = "Silver and quarantine are here."
  value       = module.silver.name
}

output "queue_url" {
  description = "The queue between ingest and transform."
  value       = local.queue.url
}

output "dlq_url" {
  description = "Where units go that failed too often; empty with an existing queue whose dead-letter queue is not named."
  value       = local.dlq.url
}

output "ingest_failures_queue_url" {
  description = "Where S3 events go that ingest failed on three times."
  value       = local.ingest_failures.url
}

output "ledger_table" {
  description = "The ledger's table."
  value       = module.ledger.name
}

output "ingest_function" {
  description = "The ingest function's name."
  value       = module.ingest.name
}

output "transform_function" {
  description = "The transform function's name."
  value       = module.transform.name
}

output "transform_event_source" {
  description = "The id of the mapping from queue to transform, for pausing it."
  value       = module.transform_source.uuid
}

output "region" {
  description = "The region that all of it is in."
  value       = local.region
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to, for subscribing to it; empty without observability_enabled."
  value       = var.observability_enabled ? module.observability[0].topic_arn : ""
}

output "dashboard_url" {
  description = "The dashboard's page in the console; empty without observability_enabled."
  value       = var.observability_enabled ? module.observability[0].dashboard_url : ""
}
