output "bronze_bucket" {
  description = "Upload to `bronze/<dataset>/` in this bucket."
  value       = var.create_bronze_bucket ? module.bronze[0].name : local.bronze_bucket
}

output "silver_bucket" {
  description = "Silver and quarantine are here."
  value       = module.silver.name
}

output "managed_buckets" {
  description = "The buckets that Terraform made, and that `make empty-buckets` may therefore empty."
  value       = concat(module.bronze[*].name, [module.silver.name])
}

output "quarantine_expiry_days" {
  description = "Days after which the bucket's lifecycle deletes files of quarantine; 0: never."
  value       = var.quarantine_expiry_days
}

output "queue_url" {
  description = "The queue between ingest and transform."
  value       = local.queue.url
}

output "queue_arn" {
  description = "The ARN of that queue, for redriving dead letters to it."
  value       = local.queue.arn
}

output "dlq_url" {
  description = "The dead-letter queue, where transform sends units that failed five times."
  value       = local.dlq.url
}

output "dlq_arn" {
  description = "The ARN of the dead-letter queue, for redriving from it."
  value       = local.dlq.arn
}

output "ingest_failures_queue_url" {
  description = "Where S3 events go that ingest failed on three times."
  value       = local.ingest_failures.url
}

output "queue_policies" {
  description = "With existing queues: which one (queue, dlq, ingest_failures) -> the attributes that it should have, for `aws sqs set-queue-attributes`. Empty where Terraform manages the queues."
  value = {
    for name, access in module.existing_queue_access : name => jsonencode({
      Policy             = access.policy
      RedriveAllowPolicy = access.redrive_allow_policy
    })
  }
}

output "ledger_table" {
  description = "The ledger's table."
  value       = module.ledger.name
}

output "arns" {
  description = "What other modules write policies with, known before it exists: bronze_bucket, silver_bucket, ledger_table, queue, dlq, ingest_failures_queue."
  value = {
    bronze_bucket         = local.bronze_arn
    silver_bucket         = local.silver_arn
    ledger_table          = local.ledger_arn
    queue                 = local.queue.arn
    dlq                   = local.dlq.arn
    ingest_failures_queue = local.ingest_failures.arn
  }
}

output "bronze_key_arn" {
  description = "The customer managed key of the objects in Bronze; empty where there is none."
  value       = local.bronze_key_arn
}

output "functions" {
  description = "Function -> its name, ARN, log group, and its role's name and ARN."
  value = {
    for function, made in { ingest = module.ingest, transform = module.transform } : function => {
      name                         = made.name
      arn                          = made.arn
      log_group                    = made.log_group
      role_name                    = made.role_name
      role_arn                     = made.role_arn
    }
  }
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

output "tags" {
  description = "What every resource is tagged with, but IAM roles and SQS queues."
  value       = local.tags
}

output "restricted_tags" {
  description = "What IAM roles and SQS queues are tagged with; nothing without tag_iam_and_sqs."
  value       = local.restricted_tags
}
