# ---- names
variable "project" {
  description = "Begins every resource's name and is the metrics' namespace."
  type        = string
}

variable "tags" {
  description = "Tags of every resource but the roles."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "restricted_tags" {
  description = "Tags of the roles. Empty by default: restricted accounts deny iam:TagRole."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "iam_name_prefix" {
  description = "Prefix of role names, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles, where the account demands one; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

# ---- the pipeline that it works on
variable "database" {
  description = "The Glue database of the tables."
  type        = string
}

variable "datasets" {
  description = "The datasets that the contracts describe: the names of the tables."
  type        = list(string)
}

variable "bronze_bucket" {
  description = "The Bronze bucket's name; nothing of it is read."
  type        = string
}

variable "silver_bucket" {
  description = "The Silver bucket's name."
  type        = string
}

variable "silver_bucket_arn" {
  description = "The Silver bucket's ARN."
  type        = string
}

variable "ledger_table" {
  description = "The ledger's table."
  type        = string
}

variable "ledger_table_arn" {
  description = "The ARN of the ledger's table."
  type        = string
}

variable "queue_url" {
  description = "The queue of units, which every ops function knows."
  type        = string
}

variable "ingest_function" {
  description = "The ingest function's name, which every ops function knows."
  type        = string
}

variable "kms_key_arn" {
  description = "The KMS key of ledger and Silver; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

# ---- the functions
variable "image" {
  description = "The image `smelt-ops` by digest, as `make push-images` writes it."
  type        = string
  default     = ""
  nullable    = false
}

variable "architecture" {
  description = "The processor architecture that the image was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false
}

variable "memory_mb" {
  description = "Memory of each function, in MB. More memory is also more processor."
  type        = number
  default     = 1769
  nullable    = false
}

variable "environment" {
  description = "More environment variables of the functions."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "tracing_enabled" {
  description = "Whether the functions are traced by X-Ray."
  type        = bool
  default     = true
  nullable    = false
}

variable "application_log_level" {
  description = "The least that the functions' own logs tell: TRACE, DEBUG or INFO."
  type        = string
  default     = "INFO"
  nullable    = false
}

variable "system_log_level" {
  description = "The least that Lambda's own logs of the functions tell: DEBUG, INFO or WARN."
  type        = string
  default     = "INFO"
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that the logs of the functions are kept."
  type        = number
  default     = 30
  nullable    = false
}

# ---- schedules and alarms
variable "publish_schedule_expression" {
  description = "When committed rows are published, as EventBridge Scheduler takes it (in UTC); empty for never."
  type        = string
  default     = "rate(1 minute)"
  nullable    = false

  validation {
    condition     = var.publish_schedule_expression == "" || can(regex(local.schedule.pattern, var.publish_schedule_expression))
    error_message = "lake_publish_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(1 minute); or empty for never."
  }
}

variable "maintain_schedule_expression" {
  description = "When snapshots, metadata and compaction runs that nothing names are tidied up; empty for never."
  type        = string
  default     = "rate(1 hour)"
  nullable    = false

  validation {
    condition     = var.maintain_schedule_expression == "" || can(regex(local.schedule.pattern, var.maintain_schedule_expression))
    error_message = "lake_maintain_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(1 hour); or empty for never."
  }
}

variable "alarms_enabled" {
  description = "Whether alarms are created."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms go to; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

variable "alarm_lag_seconds" {
  description = "An alarm tells when committed rows have waited longer than this to be published."
  type        = number
  default     = 900
  nullable    = false
}
