# ---- names
variable "project" {
  description = "Begins every resource's name and is the metrics' namespace."
  type        = string
}

variable "workflow_id" {
  description = "The state machine's name, after `<project>-`."
  type        = string
  default     = "ops-replay-and-quality-gate"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,55}$", var.workflow_id))
    error_message = "ops_workflow_id must have 1 to 55 letters, digits, hyphens or underscores: the state machine is called <project>-<ops_workflow_id>, and Step Functions takes 80 characters."
  }
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

# ---- the pipeline that it works on
variable "bronze_bucket" {
  description = "The Bronze bucket's name."
  type        = string
}

variable "silver_bucket" {
  description = "The Silver bucket's name."
  type        = string
}

variable "ledger_table" {
  description = "The ledger's table."
  type        = string
}

variable "queue_url" {
  description = "The queue of units."
  type        = string
}

variable "ingest_function" {
  description = "The ingest function's name: what was never announced is announced to it."
  type        = string
}

variable "ingest_function_arn" {
  description = "The ingest function's ARN."
  type        = string
}

variable "arns" {
  description = "The ARNs of bronze_bucket, silver_bucket, ledger_table and queue, as modules/pipeline gives them."
  type = object({
    bronze_bucket = string
    silver_bucket = string
    ledger_table  = string
    queue         = string
  })
}

variable "kms_key_arn" {
  description = "The KMS key of ledger, queues and Silver; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

variable "bronze_kms_key_arn" {
  description = "The KMS key of the objects in Bronze; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

# ---- functions
variable "image" {
  description = "The image `smelt-ops` by digest, as `make push-images` writes it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "images must name the image of ops by digest (`<repository>@sha256:<64 hex digits>`). Run `make push-images` first: it builds and pushes it and writes images.auto.tfvars.json."
  }
}

variable "architecture" {
  description = "The processor architecture that the image was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false
}

variable "reserved_concurrency" {
  description = "Function (such as sweep) -> its reserved concurrency. Functions that are not named share the account's."
  type        = map(number)
  default     = {}
  nullable    = false
}

variable "environment" {
  description = "More environment variables of all functions, such as UNIT_BYTES."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "tracing_enabled" {
  description = "Whether the functions and the state machine are traced by X-Ray."
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
  description = "Days that the logs of functions and state machine are kept."
  type        = number
  default     = 30
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

# ---- schedules
variable "schedule_enabled" {
  description = "Whether the workflow is started by a schedule."
  type        = bool
  default     = false
  nullable    = false
}

variable "schedule_expression" {
  description = "When the workflow is started: `rate(1 day)`, `cron(...)` or `at(...)`, as EventBridge Scheduler takes it (in UTC)."
  type        = string
  default     = "rate(1 day)"
  nullable    = false

  validation {
    condition     = can(regex(local.schedule.pattern, var.schedule_expression))
    error_message = "ops_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(1 day)."
  }
}

variable "schedule_input" {
  description = "The input of scheduled executions besides the buckets: src_prefix, record_type and others; docs/workflow.md explains each key. What is left out is as in the defaults: 24 hours of bronze/shipments/."
  type        = any
  default     = {}
  nullable    = false

  validation {
    condition = can(keys(var.schedule_input)) && length(setsubtract(try(keys(var.schedule_input), []), [
      "src_prefix", "dest_prefix_base", "window_hours", "start", "end", "record_type", "min_parquet_objects", "poll_interval_seconds", "max_attempts",
    ])) == 0
    error_message = "ops_schedule_input takes src_prefix, dest_prefix_base, window_hours (or start and end), record_type, min_parquet_objects, poll_interval_seconds and max_attempts."
  }
}

variable "sweep_schedule_expression" {
  description = "When finished objects are marked DONE and leftover files deleted; empty for never."
  type        = string
  default     = "rate(5 minutes)"
  nullable    = false

  validation {
    condition     = var.sweep_schedule_expression == "" || can(regex(local.schedule.pattern, var.sweep_schedule_expression))
    error_message = "ops_sweep_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(5 minutes); or empty for never."
  }
}

variable "archive_schedule_expression" {
  description = "When history is written; empty for never."
  type        = string
  default     = "rate(1 hour)"
  nullable    = false

  validation {
    condition     = var.archive_schedule_expression == "" || can(regex(local.schedule.pattern, var.archive_schedule_expression))
    error_message = "ops_archive_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(1 hour); or empty for never."
  }
}

variable "reconcile_schedule_expression" {
  description = "When Bronze is compared with the ledger, and what was never announced or never finished is sent again; empty for never."
  type        = string
  default     = "rate(1 hour)"
  nullable    = false

  validation {
    condition     = var.reconcile_schedule_expression == "" || can(regex(local.schedule.pattern, var.reconcile_schedule_expression))
    error_message = "ops_reconcile_schedule_expression must be rate(N minutes, hours or days), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), such as rate(1 hour); or empty for never."
  }
}

# ---- alarms
variable "alarms_enabled" {
  description = "Whether alarms are created."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms go to."
  type        = string
  default     = ""
  nullable    = false
}
