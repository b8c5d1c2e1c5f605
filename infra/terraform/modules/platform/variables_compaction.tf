variable "compaction" {
  description = "The compaction job; enabled: whether there is one. `assets` are keys of the artifacts bucket, as `make glue-assets` writes them; null before its first run. `output_prefixes` are folders of the Silver bucket that it may write to, besides silver_compacted."
  type = object({
    enabled         = optional(bool, false)
    job_name        = optional(string)
    script_key      = optional(string)
    assets          = optional(object({ core = string, wheels = string, compact_silver = string, validate_silver = optional(string) }))
    output_prefixes = optional(list(string), [])
    worker_type     = optional(string)
    workers         = optional(number)
    timeout_minutes = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for prefix in var.compaction.output_prefixes : can(regex("^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*$", prefix)) && !contains(["bronze", "silver", "quarantine", "history", "lake"], split("/", prefix)[0])])
    error_message = "glue_job_output_prefixes are folders such as silver_compacted, and never the pipeline's own: bronze, silver, quarantine, history, lake."
  }
}
