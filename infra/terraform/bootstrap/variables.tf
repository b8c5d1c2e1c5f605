variable "project" {
  description = "The project, as in the environment's tfvars: repositories are called `<project>/<function>`."
  type        = string

  validation {
    condition = (
      length(var.project) >= local.project.min && length(var.project) <= local.project.max
      && can(regex(local.project.pattern, var.project))
      && !anytrue([for prefix in local.project.reserved_prefixes : startswith(var.project, prefix)])
    )
    error_message = "project must have ${local.project.min} to ${local.project.max} lower-case letters, digits or single hyphens between them, begin with a letter, and not begin with ${join(" or ", local.project.reserved_prefixes)}: names of buckets, queues, repositories and roles are built from it (infra/terraform/names.json)."
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

variable "force_delete" {
  description = "Whether `terraform destroy` deletes repositories that still hold images."
  type        = bool
  default     = false
}

variable "account_id" {
  description = "The only AWS account that this may be applied to, as in the environment's tfvars; empty for whichever the credentials are of."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of the repositories, as in the environment's tfvars."
  type        = map(string)
  default     = {}
  nullable    = false
}
