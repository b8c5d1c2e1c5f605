variable "name" {
  description = "The bucket's name, unique in the whole of AWS."
  type        = string

  validation {
    condition     = length(var.name) >= local.limits.min && length(var.name) <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A bucket's name has ${local.limits.min} to ${local.limits.max} lower-case letters, digits or hyphens, and begins and ends with a letter or digit."
  }
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted version is kept; 0 keeps it for ever."
  type        = number
  default     = null
}

variable "incomplete_upload_days" {
  description = "Days after which the parts of an unfinished multipart upload are removed."
  type        = number
  default     = null
}

variable "expiration_days" {
  description = "Prefix -> days after which objects under it expire. Empty: nothing expires."
  type        = map(number)
  default     = null
}

variable "tags" {
  description = "Tags of the bucket."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts new objects; empty for SSE-S3."
  type        = string
  default     = ""
  nullable    = false
}
