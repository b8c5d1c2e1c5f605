variable "name" {
  description = "The repository's name, such as `smelt/ingest`."
  type        = string

  validation {
    condition     = length(var.name) >= local.limits.min && length(var.name) <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A repository's name has lower-case letters and digits, with single `.`, `_`, `-` or `/` between them."
  }
}

variable "force_delete" {
  description = "Whether destroying the repository also deletes the images in it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the repository."
  type        = map(string)
  default     = {}
}
