variable "name" {
  description = "The table's name."
  type        = string

  validation {
    condition     = length(var.name) >= local.limits.min && length(var.name) <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A table's name has ${local.limits.min} to ${local.limits.max} letters, digits, hyphens, underscores or dots."
  }
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted. Without the ledger nobody knows which rows are in Silver."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of the table."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts the table; empty for a key of AWS."
  type        = string
  default     = ""
  nullable    = false
}
