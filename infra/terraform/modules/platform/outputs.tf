output "pipeline" {
  description = "The outputs of modules/pipeline."
  value       = module.pipeline
}

output "ops" {
  description = "The outputs of modules/workflow_ops; null without it."
  value       = one(module.ops)
}

output "artifacts_bucket" {
  description = "The bucket for what jobs run; empty without artifacts_bucket_enabled and without jobs."
  value       = try(module.artifacts[0].name, "")
}

output "operator_policy_arns" {
  description = "Policy (read, redrive, replay, retract) -> its ARN; empty without operator_policies_enabled."
  value       = var.operator_policies_enabled ? module.operator_policies[0].arns : {}
}

output "managed_buckets" {
  description = "The buckets that Terraform made, and that `make empty-buckets` may therefore empty."
  value       = concat(module.pipeline.managed_buckets, module.artifacts[*].name, module.catalog[*].results_bucket)
}
