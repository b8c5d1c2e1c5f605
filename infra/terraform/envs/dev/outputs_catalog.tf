output "glue_database_name" {
  description = "The Glue database of all tables, for queries in Athena; empty without glue_enabled."
  value       = try(module.platform.catalog.database_name, "")
}

output "glue_crawler_name" {
  description = "The crawler, for those who want its tables; empty without glue_enabled."
  value       = try(module.platform.catalog.crawler, "")
}

output "athena_workgroup" {
  description = "Athena's workgroup, in which queries have a limit; empty without glue_enabled."
  value       = try(module.platform.catalog.workgroup, "")
}

output "analyst_policy_arn" {
  description = "The managed policy for analysts; empty without glue_analyst_policy_enabled."
  value       = try(module.platform.catalog.analyst_policy_arn, "")
}
