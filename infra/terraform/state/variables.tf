variable "project" {
  description = "The project, as in the environment's tfvars: the bucket is tagged with it."
  type        = string
}

variable "region" {
  description = "The AWS region of the bucket, as in the environment's tfvars."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as us-east-2."
  }
}

variable "state_bucket" {
  description = "The bucket's name, unique in the whole of AWS; write it into backend/backend.hcl too."
  type        = string

  validation {
    condition     = length(var.state_bucket) >= local.limits.min && length(var.state_bucket) <= local.limits.max && can(regex(local.limits.pattern, var.state_bucket))
    error_message = "state_bucket must have ${local.limits.min} to ${local.limits.max} lower-case letters, digits or hyphens, and begin and end with a letter or digit."
  }
}

variable "s3_path_style" {
  description = "For emulators: the bucket's name goes into the path."
  type        = bool
  default     = false
}

variable "account_id" {
  description = "The only AWS account that this may be applied to, as in the environment's tfvars; empty for whichever the credentials are of."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of the bucket, as in the environment's tfvars."
  type        = map(string)
  default     = {}
  nullable    = false
}
