variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "bucket_arn" {
  description = "The bucket's ARN."
  type        = string
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted version is kept; 0 keeps it for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.noncurrent_days == 0 || var.noncurrent_days >= 15
    error_message = "noncurrent_days must be 0 (for ever) or at least 15: messages name exact versions, and the dead-letter queue keeps them for 14 days."
  }
}

variable "incomplete_upload_days" {
  description = "Days after which the parts of an unfinished multipart upload are removed."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.incomplete_upload_days >= 1
    error_message = "incomplete_upload_days must be at least 1."
  }
}

variable "expiration_days" {
  description = "Prefix -> days after which objects under it expire. Empty: nothing expires."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for days in values(var.expiration_days) : days >= 1 && floor(days) == days])
    error_message = "Every expiry must be a whole number of days, at least 1."
  }
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts new objects; empty for SSE-S3."
  type        = string
  default     = ""
  nullable    = false
}
