output "glue_job_name" {
  description = "The compaction job; empty without glue_job_enabled, or before `make glue-assets`."
  value       = try(module.platform.compaction.name, "")
}
