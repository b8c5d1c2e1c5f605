# ---- compaction and recompute (docs/compaction.md)
variable "glue_job_enabled" {
  description = "Whether there is the Glue job that compacts a partition, or judges it again. It is created once `make glue-assets` has uploaded what it runs."
  type        = bool
  default     = false
}

variable "glue_job_name" {
  description = "The job's name; null for <project>-compact-silver."
  type        = string
  default     = null
}

variable "glue_job_script_key" {
  description = "The script's key in the artifacts bucket; null for the one of the revision that was uploaded last. glue/scripts/compact_silver.py is always the newest."
  type        = string
  default     = null
}

variable "glue_job_output_prefixes" {
  description = "Folders of the Silver bucket that the job may write to, besides silver_compacted (GLUE_OUTPUT_PREFIX)."
  type        = list(string)
  default     = []
}

variable "glue_job_workers" {
  description = "Workers at most, the driver's included. Glue starts no more than there is work for."
  type        = number
  default     = null
}

variable "glue_assets" {
  description = "Keys of what the jobs run; `make glue-assets` writes them into glue.auto.tfvars.json."
  type        = object({ core = string, wheels = string, compact_silver = string, validate_silver = optional(string) })
  default     = null
}
