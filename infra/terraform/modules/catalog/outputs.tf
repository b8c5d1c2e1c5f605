output "database_name" {
  description = "The Glue database of all tables, known before it exists."
  value       = local.database
}

output "database_arn" {
  description = "The database's ARN, known before it exists."
  value       = "${local.glue}:database/${local.database}"
}

output "workgroup" {
  description = "Athena's workgroup."
  value       = aws_athena_workgroup.this.name
}

output "crawler" {
  description = "The crawler's name."
  value       = aws_glue_crawler.silver.name
}

output "results_bucket" {
  description = "The bucket of queries' results."
  value       = module.results.name
}

output "analyst_policy_arn" {
  description = "The managed policy for analysts; empty without analyst_policy_enabled."
  value       = var.analyst_policy_enabled ? aws_iam_policy.analyst[0].arn : ""
}
