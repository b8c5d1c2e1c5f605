output "ge_job" {
  description = "The outputs of the gate's Glue job; null without it."
  value       = one(module.ge_job)
}

output "gate" {
  description = "The outputs of modules/workflow_ge_gate; null without it."
  value       = one(module.gate)
}
