output "policy" {
  description = "The queue's policy, as JSON."
  value       = local.policy

  precondition {
    condition     = length(local.policy) <= local.limit
    error_message = "The policy of ${var.queue_arn} would have ${length(local.policy)} bytes; SQS takes ${local.limit}. Name fewer senders: one ARN with a wildcard for several roles, such as operator_principal_arns = [\"arn:aws:iam::<account>:role/operators/*\"]."
  }
}

output "redrive_allow_policy" {
  description = "The queue's redrive allow policy, as JSON: which queues may use it as their dead-letter queue."
  value = jsonencode(merge(
    { redrivePermission = local.takes_redrives ? "byQueue" : "denyAll" },
    local.takes_redrives ? { sourceQueueArns = var.redrive_source_arns } : {},
  ))
}
