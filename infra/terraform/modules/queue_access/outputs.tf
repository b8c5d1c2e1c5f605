output "policy" {
  description = "The queue's policy, as JSON."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat([local.tls_only, local.only_these_send], local.rules_send) })
}

output "redrive_allow_policy" {
  description = "The queue's redrive allow policy, as JSON: which queues may use it as their dead-letter queue."
  value = jsonencode(merge(
    { redrivePermission = local.takes_redrives ? "byQueue" : "denyAll" },
    local.takes_redrives ? { sourceQueueArns = var.redrive_source_arns } : {},
  ))
}
