variable "name" {
  description = "The rule's name."
  type        = string

  validation {
    condition     = length(var.name) <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A rule's name has up to ${local.limits.max} letters, digits, dots, hyphens or underscores."
  }
}

variable "bucket_name" {
  description = "The bucket whose objects are announced. It must be in this region, with EventBridge turned on."
  type        = string
}

variable "account" {
  description = "The account that the bucket belongs to: a bucket of the same name in another account is not listened to."
  type        = string
}

variable "prefix" {
  description = "Only objects under this prefix are announced."
  type        = string
}

variable "function_name" {
  description = "The function that is told."
  type        = string
}

variable "function_arn" {
  description = "Its ARN."
  type        = string
}

variable "undelivered_queue_arn" {
  description = "The queue that keeps events which could not be delivered; its policy must allow the rule."
  type        = string
}

variable "tags" {
  description = "Tags of the rule."
  type        = map(string)
  default     = {}
}
