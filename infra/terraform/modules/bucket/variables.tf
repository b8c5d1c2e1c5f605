variable "name" {
  description = "The bucket's name, unique in the whole of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, hyphens or dots, and begins and ends with a letter or digit."
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
