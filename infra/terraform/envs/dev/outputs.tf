output "bronze_bucket" {
  description = "Upload to `bronze/<dataset>/` in this bucket."
  value       = module.platform.pipeline.bronze_bucket
}

output "silver_bucket" {
  description = "Silver and quarantine are here."
  value       = module.platform.pipeline.silver_bucket
}

output "artifacts_bucket" {
  description = "The bucket for what jobs run; empty without artifacts_bucket_enabled."
  value       = module.platform.artifacts_bucket
}

output "ops_state_machine_arn" {
  description = "The state machine that replays and checks, for starting executions; empty without ops_enabled."
  value       = try(module.platform.ops.state_machine_arn, "")
}

output "managed_buckets" {
  description = "The buckets that Terraform made, and that `make empty-buckets` may therefore empty."
  value       = module.platform.managed_buckets
}

output "quarantine_expiry_days" {
  description = "Days after which the bucket's lifecycle deletes files of quarantine; 0: never."
  value       = module.platform.pipeline.quarantine_expiry_days
}

output "queue_url" {
  description = "The queue between ingest and transform."
  value       = module.platform.pipeline.queue_url
}

output "queue_arn" {
  description = "The ARN of that queue, for redriving dead letters to it."
  value       = module.platform.pipeline.queue_arn
}

output "dlq_url" {
  description = "The dead-letter queue, where transform sends units that failed five times."
  value       = module.platform.pipeline.dlq_url
}

output "dlq_arn" {
  description = "The ARN of the dead-letter queue, for redriving from it."
  value       = module.platform.pipeline.dlq_arn
}

output "ingest_failures_queue_url" {
  description = "Where S3 events go that ingest failed on three times."
  value       = module.platform.pipeline.ingest_failures_queue_url
}

output "queue_policies" {
  description = "With existing queues: which one (queue, dlq, ingest_failures) -> the attributes that it should have, for `aws sqs set-queue-attributes`. Empty where Terraform manages the queues."
  value       = module.platform.pipeline.queue_policies
}

output "ledger_table" {
  description = "The ledger's table."
  value       = module.platform.pipeline.ledger_table
}

output "ingest_function" {
  description = "The ingest function's name."
  value       = module.platform.pipeline.ingest_function
}

output "transform_function" {
  description = "The transform function's name."
  value       = module.platform.pipeline.transform_function
}

output "transform_event_source" {
  description = "The id of the mapping from queue to transform, for pausing it."
  value       = module.platform.pipeline.transform_event_source
}

output "region" {
  description = "The region that all of it is in."
  value       = module.platform.pipeline.region
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to, for subscribing to it; empty without observability_enabled."
  value       = module.platform.pipeline.alarm_topic_arn
}

output "dashboard_url" {
  description = "The dashboard's page in the console; empty without observability_enabled."
  value       = module.platform.pipeline.dashboard_url
}

output "operator_policy_arns" {
  description = "Policy (read, redrive, replay, retract) -> its ARN; empty without operator_policies_enabled."
  value       = module.platform.operator_policy_arns
}
