variable "project" {
  description = "The project, as in the environment's tfvars: repositories are called `<project>/<function>`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.project))
    error_message = "project must have 3 to 24 lower-case letters, digits or hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "region" {
  description = "The AWS region, as in the environment's tfvars: Lambda pulls images of its own region only."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as us-east-2."
  }
}

variable "keep_images" {
  description = "How many images each repository keeps."
  type        = number
  default     = 50
}

variable "force_delete" {
  description = "Whether `terraform destroy` deletes repositories that still hold images."
  type        = bool
  default     = false
}
