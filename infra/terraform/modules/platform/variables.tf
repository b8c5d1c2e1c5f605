# What all parts share. Their defaults and checks are in the parts; null means the default there.
variable "project" {
  description = "Begins every resource's name and is the metrics' namespace. Another project in the same account is another platform."
  type        = string
}

variable "tags" {
  description = "Tags of every resource, but of IAM roles and SQS queues only with tag_iam_and_sqs."
  type        = map(string)
  default     = null
}

variable "tag_iam_and_sqs" {
  description = "Whether IAM roles and SQS queues are tagged too. Restricted accounts deny iam:TagRole and sqs:TagQueue."
  type        = bool
  default     = null
}

variable "iam_name_prefix" {
  description = "Prefix of role names, for accounts that allow only certain names."
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles, where the account demands one; empty for none."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The KMS key, of this region, that encrypts queues, ledger and buckets that Terraform makes; empty for keys of AWS."
  type        = string
  default     = null
}

variable "artifacts_bucket_enabled" {
  description = "Whether there is a bucket for what jobs run: scripts, wheels, packages."
  type        = bool
  default     = false
  nullable    = false
}

variable "operator_policies_enabled" {
  description = "Whether there are managed policies for the roles of operators: read, redrive, replay, retract."
  type        = bool
  default     = false
  nullable    = false
}

# ---- one object for each part
variable "pipeline" {
  description = "The variables of modules/pipeline besides the shared ones."
  type = object({
    silver_bucket_name                 = optional(string)
    images                             = optional(map(string))
    architecture                       = optional(string)
    ingest_memory_mb                   = optional(number)
    ingest_timeout_seconds             = optional(number)
    transform_memory_mb                = optional(number)
    transform_timeout_seconds          = optional(number)
    reserved_concurrency               = optional(map(number))
    environment                        = optional(map(string))
    tracing_enabled                    = optional(bool)
    application_log_level              = optional(string)
    system_log_level                   = optional(string)
    log_retention_days                 = optional(number)
    silver_noncurrent_days             = optional(number)
    quarantine_expiry_days             = optional(number)
    ledger_deletion_protection         = optional(bool)
    observability_enabled              = optional(bool)
    alarm_notification_topic_arn       = optional(string)
    alarm_oldest_message_seconds       = optional(number)
    alarm_quarantine_percent           = optional(number)
    alarm_no_data_hours                = optional(number)
    create_bronze_bucket               = optional(bool)
    bronze_bucket_name                 = optional(string)
    bronze_kms_key_arn                 = optional(string)
    bronze_eventbridge_enabled         = optional(bool)
    bronze_noncurrent_days             = optional(number)
    batch_size                         = optional(number)
    batching_window_seconds            = optional(number)
    maximum_concurrency                = optional(number)
    max_receive_count                  = optional(number)
    max_message_bytes                  = optional(number)
    operator_principal_arns            = optional(list(string))
    existing_queue_url                 = optional(string)
    existing_queue_arn                 = optional(string)
    existing_dlq_url                   = optional(string)
    existing_dlq_arn                   = optional(string)
    existing_ingest_failures_queue_url = optional(string)
    existing_ingest_failures_queue_arn = optional(string)
  })
}

variable "ops" {
  description = "The variables of modules/workflow_ops besides the shared ones and those of the pipeline; enabled: whether there is such a part."
  type = object({
    enabled                       = optional(bool, false)
    workflow_id                   = optional(string)
    reserved_concurrency          = optional(map(number))
    schedule_enabled              = optional(bool)
    schedule_expression           = optional(string)
    schedule_input                = optional(any)
    sweep_schedule_expression     = optional(string)
    archive_schedule_expression   = optional(string)
    reconcile_schedule_expression = optional(string)
  })
  default  = {}
  nullable = false
}
