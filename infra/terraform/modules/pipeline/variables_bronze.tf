# The Bronze bucket. The other variables are in variables.tf.

variable "create_bronze_bucket" {
  description = "Whether Terraform makes the Bronze bucket. If not, bronze_bucket_name exists already and is not changed: its owner turns EventBridge on for it."
  type        = bool
  default     = true
  nullable    = false
}

variable "bronze_bucket_name" {
  description = "The Bronze bucket's name; empty for `<project>-bronze-<account>-<region>`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.create_bronze_bucket || var.bronze_bucket_name != ""
    error_message = "create_bronze_bucket = false needs the name of the bucket that exists: set bronze_bucket_name."
  }

  # A bucket that exists may have dots; S3 has taken its name.
  validation {
    condition     = var.bronze_bucket_name == "" || !var.create_bronze_bucket || length(var.bronze_bucket_name) >= local.limits.aws_s3_bucket.min && length(var.bronze_bucket_name) <= local.limits.aws_s3_bucket.max && can(regex(local.limits.aws_s3_bucket.pattern, var.bronze_bucket_name))
    error_message = "bronze_bucket_name must have ${local.limits.aws_s3_bucket.min} to ${local.limits.aws_s3_bucket.max} lower-case letters, digits or hyphens, and begin and end with a letter or digit."
  }
}

variable "bronze_kms_key_arn" {
  description = "With a Bronze bucket that exists: the KMS key of its objects (SSE-KMS), which transform may then use for reading; empty for SSE-S3. A key of another account must allow transform's role itself."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.bronze_kms_key_arn == "" || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.bronze_kms_key_arn))
    error_message = "bronze_kms_key_arn must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), not of an alias; or empty."
  }

  validation {
    condition     = var.bronze_kms_key_arn == "" || !var.create_bronze_bucket
    error_message = "bronze_kms_key_arn is the key of a bucket that exists: set create_bronze_bucket = false, or use kms_key_arn, which encrypts the buckets that Terraform makes."
  }
}

variable "bronze_eventbridge_enabled" {
  description = "Whether the Bronze bucket that Terraform makes sends its events to EventBridge too, for rules of your own. ingest is told without it."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.bronze_eventbridge_enabled || var.create_bronze_bucket
    error_message = "bronze_eventbridge_enabled is for a bucket that Terraform makes. Of one that exists, nothing is changed; EventBridge must be on there anyway."
  }
}

variable "bronze_noncurrent_days" {
  description = "Days that overwritten or deleted Bronze versions are kept; 0 for ever. Of a bucket that Terraform makes."
  type        = number
  default     = 30
  nullable    = false
}
