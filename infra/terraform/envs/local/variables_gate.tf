# ---- the quality gate (docs/gate.md)
variable "ge_enabled" {
  description = "Whether there is the Glue job that judges a partition with Great Expectations. It is created once `make glue-assets` has uploaded what it runs."
  type        = bool
  default     = false
}

variable "ge_workflow_enabled" {
  description = "Whether there is the state machine that runs the job, and tells people of what has not passed (`make ge-start`)."
  type        = bool
  default     = false
}

variable "ge_emit_events_from_transform" {
  description = "Whether each partition that transform writes is announced on EventBridge."
  type        = bool
  default     = false
}

variable "ge_eventbridge_enabled" {
  description = "Whether an announced partition is judged by itself."
  type        = bool
  default     = false
}

variable "ge_every_minutes" {
  description = "A partition that is written again and again is judged at most once in so many minutes."
  type        = number
  default     = 15
}

variable "ge_notification_topic_arn" {
  description = "The SNS topic that is told of each partition that has not passed; empty for alarm_notification_topic_arn."
  type        = string
  default     = ""
}

variable "ge_notification_topic_kms_key_arn" {
  description = "The KMS key of that topic, where it has one of its own; empty for keys of AWS."
  type        = string
  default     = ""
}

variable "ge_quarantine_enabled" {
  description = "Whether a marker (JSON) is kept in the Silver bucket for each partition that has not passed."
  type        = bool
  default     = false
}

variable "ge_quarantine_prefix" {
  description = "Where markers are: a path below ge/."
  type        = string
  default     = "ge/quarantine"
}

variable "ge_job_workers" {
  description = "Workers of the job at most, the driver's included. Glue starts no more than there is work for."
  type        = number
  default     = null
}
