# ---- names
variable "project" {
  description = "Begins every resource's name, is the metrics' namespace, and tells this pipeline's events from others'."
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

# ---- what it works on
variable "job_name" {
  description = "The Glue job that judges, as modules/ge_job makes it."
  type        = string
}

variable "silver_bucket" {
  description = "The Silver bucket's name: committed files, and below ge/ plans, results, pages and markers."
  type        = string
}

variable "ledger_table" {
  description = "The ledger's table."
  type        = string
}

variable "arns" {
  description = "The ARNs of silver_bucket and ledger_table, as modules/pipeline gives them."
  type = object({
    silver_bucket = string
    ledger_table  = string
  })
}

variable "kms_key_arn" {
  description = "The KMS key of ledger and Silver; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

# ---- what follows from a verdict
variable "topic_arn" {
  description = "The SNS topic that is told of each partition that has not passed; empty for none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.topic_arn == "" || can(regex("^arn:[a-z-]+:sns:", var.topic_arn))
    error_message = "ge_notification_topic_arn must be the ARN of an SNS topic, such as arn:aws:sns:us-east-2:123456789012:alarms; or empty for none."
  }
}

variable "topic_kms_key_arn" {
  description = "The KMS key of that topic, where it has one of its own; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

variable "quarantine_enabled" {
  description = "Whether a marker (JSON) is kept for each partition that has not passed."
  type        = bool
  default     = false
  nullable    = false
}

variable "quarantine_prefix" {
  description = "Where markers are, in the Silver bucket: below ge/."
  type        = string
  default     = "ge/quarantine"
  nullable    = false

  validation {
    condition     = can(regex("^ge(/[A-Za-z0-9._-]{1,50}){1,6}/?$", var.quarantine_prefix))
    error_message = "ge_quarantine_prefix must be a path below ge/, such as ge/quarantine: the gate may write nowhere else."
  }
}

# ---- what starts it by itself
variable "emit_events" {
  description = "Whether written partitions are announced on EventBridge, by a function on a schedule. Transform must leave marks for it (OUTBOXES=events)."
  type        = bool
  default     = false
  nullable    = false
}

variable "eventbridge_enabled" {
  description = "Whether an announced partition starts the workflow."
  type        = bool
  default     = false
  nullable    = false
}

variable "every_minutes" {
  description = "A partition that is written again and again is announced, and so judged, at most once in so many minutes."
  type        = number
  default     = 15
  nullable    = false

  validation {
    condition     = var.every_minutes >= 1 && var.every_minutes <= 1440 && floor(var.every_minutes) == var.every_minutes
    error_message = "ge_every_minutes must be a whole number from 1 to 1440."
  }
}

variable "schedule_expression" {
  description = "How often marks are looked for: rate(...) or cron(...), as EventBridge Scheduler takes it."
  type        = string
  default     = "rate(1 minute)"
  nullable    = false

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.schedule_expression))
    error_message = "ge_schedule_expression must be rate(...) or cron(...), such as rate(1 minute)."
  }
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

variable "environment" {
  description = "More environment variables of all functions."
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
