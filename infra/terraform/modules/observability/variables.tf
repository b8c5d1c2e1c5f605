variable "name" {
  description = "Begins the names of alarms, dashboard and topic; the region follows."
  type        = string
}

variable "region" {
  description = "The region that the pipeline is in."
  type        = string
}

variable "metrics_namespace" {
  description = "The namespace of the functions' own metrics (POWERTOOLS_METRICS_NAMESPACE)."
  type        = string
}

variable "functions" {
  description = "The functions, by the service that their metrics name: ingest, transform."
  type = map(object({
    name            = string
    timeout_seconds = number
    memory_mb       = number
  }))

  validation {
    condition     = alltrue([for service in ["ingest", "transform"] : contains(keys(var.functions), service)])
    error_message = "functions must name ingest and transform."
  }
}

variable "queue_name" {
  description = "The queue of units."
  type        = string
}

variable "dlq_name" {
  description = "The dead-letter queue of the queue of units."
  type        = string
}

variable "ingest_failures_queue_name" {
  description = "The queue of S3 events that ingest failed on. It may be the dead-letter queue."
  type        = string
}

variable "object_events_rule_name" {
  description = "The EventBridge rule that tells ingest of new objects; empty where the bucket notifies ingest itself."
  type        = string
  default     = ""
}

variable "ledger_table" {
  description = "The ledger's table."
  type        = string
}

variable "bronze_bucket" {
  description = "The Bronze bucket."
  type        = string
}

variable "silver_bucket" {
  description = "The Silver bucket."
  type        = string
}

variable "notification_topic_arn" {
  description = "The SNS topic that alarms go to; empty to create one."
  type        = string
  default     = ""
}

# ---- when to wake somebody
variable "oldest_message_seconds" {
  description = "A unit that waits longer than this is late. Seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.oldest_message_seconds >= 60
    error_message = "oldest_message_seconds must be at least 60."
  }
}

variable "quarantine_percent" {
  description = "More rows of an hour in quarantine than this share is bad."
  type        = number
  default     = 5

  validation {
    condition     = var.quarantine_percent > 0 && var.quarantine_percent < 100
    error_message = "quarantine_percent must be between 0 and 100, exclusive."
  }
}

variable "quarantine_minimum_rows" {
  description = "An hour with fewer rows says nothing about a share."
  type        = number
  default     = 100
}

variable "quarantine_minimum_bytes" {
  description = "An hour with fewer bytes of rows says nothing about a share of bytes."
  type        = number
  default     = 1000000
}

variable "no_data_hours" {
  description = "So many hours without a new unit mean that nothing arrives; 0 where that is normal."
  type        = number
  default     = 24

  validation {
    condition     = var.no_data_hours >= 0 && var.no_data_hours <= 168 && floor(var.no_data_hours) == var.no_data_hours
    error_message = "no_data_hours must be a whole number of hours from 0 (off) to 168: CloudWatch looks back for a week at most (PutMetricAlarm, Period)."
  }
}

variable "tags" {
  description = "Tags of alarms and topic."
  type        = map(string)
  default     = {}
}
