# ---- the lake's tables (docs/lake.md)
variable "lake_enabled" {
  description = "Whether each dataset is an Iceberg table with committed rows only, snapshots and time travel. Needs glue_enabled and ops_enabled."
  type        = bool
  default     = false
}

variable "lake_publish_schedule_expression" {
  description = "When committed rows are published, as EventBridge Scheduler takes it (in UTC); empty for never."
  type        = string
  default     = null
}

variable "lake_maintain_schedule_expression" {
  description = "When old snapshots, and metadata and compaction runs that nothing names, are tidied up; empty for never."
  type        = string
  default     = null
}

variable "lake_alarm_lag_seconds" {
  description = "An alarm tells when committed rows have waited longer than this to be published."
  type        = number
  default     = null
}
