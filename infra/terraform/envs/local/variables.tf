# The part of the pipeline's variables that tests change; the others are set in main.tf or have their defaults.

variable "region" {
  description = "The AWS region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as us-east-2."
  }
}

variable "project" {
  description = "Begins every resource's name and is the metrics' namespace. Another project in the same account is another pipeline."
  type        = string
}

variable "images" {
  description = "Function (ingest, transform) -> its image by digest. `make push-images` writes it to images.auto.tfvars.json."
  type        = map(string)
  default     = null
}

variable "existing_queue_url" {
  description = "A queue that exists already; Terraform then manages no queue at all, and existing_dlq_url is needed too. See scripts/create_sqs_queue.py."
  type        = string
  default     = null
}

variable "existing_queue_arn" {
  description = "The ARN of the queue in existing_queue_url."
  type        = string
  default     = null
}

variable "existing_dlq_url" {
  description = "The dead-letter queue of the existing queue. transform sends units there that failed five times."
  type        = string
  default     = null
}

variable "existing_dlq_arn" {
  description = "The ARN of the queue in existing_dlq_url."
  type        = string
  default     = null
}

variable "existing_ingest_failures_queue_url" {
  description = "With an existing queue: the queue for S3 events that ingest failed on three times."
  type        = string
  default     = null
}

variable "existing_ingest_failures_queue_arn" {
  description = "The ARN of the queue in existing_ingest_failures_queue_url."
  type        = string
  default     = null
}

variable "observability_enabled" {
  description = "Whether alarms and a dashboard are created. Restricted accounts deny cloudwatch:PutMetricAlarm and cloudwatch:PutDashboard."
  type        = bool
  default     = null
}

variable "create_bronze_bucket" {
  description = "Whether Terraform makes the Bronze bucket. If not, bronze_bucket_name exists already and is not changed: its owner turns EventBridge on for it."
  type        = bool
  default     = null
}

variable "bronze_bucket_name" {
  description = "The Bronze bucket's name; empty for `<project>-bronze-<account>-<region>`."
  type        = string
  default     = null
}

variable "ops_enabled" {
  description = "Whether there are the operators' functions."
  type        = bool
  default     = null
}

variable "operator_policies_enabled" {
  description = "Whether there are managed policies for the roles of operators."
  type        = bool
  default     = null
}
