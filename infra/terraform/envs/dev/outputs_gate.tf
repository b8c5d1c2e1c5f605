output "ge_job_name" {
  description = "The gate's Glue job; empty without ge_enabled, or before `make glue-assets`."
  value       = try(module.platform.ge_job.name, "")
}

output "ge_state_machine_arn" {
  description = "The gate's state machine; empty without ge_workflow_enabled."
  value       = try(module.platform.gate.state_machine_arn, "")
}

output "ge_event_rule" {
  description = "The rule that starts the gate for written partitions; empty without ge_eventbridge_enabled."
  value       = try(module.platform.gate.event_rule, "")
}
