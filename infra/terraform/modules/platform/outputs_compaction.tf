output "compaction" {
  description = "The outputs of modules/glue_job for the compaction job; null without it."
  value       = one(module.compaction)
}
