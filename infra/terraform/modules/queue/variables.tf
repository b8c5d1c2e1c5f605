variable "name" {
  description = "The queue's name."
  type        = string

  validation {
    condition     = length("${var.name}-dlq") <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A queue's name has up to ${local.limits.max - 4} letters, digits, hyphens or underscores (AWS allows ${local.limits.max}; `-dlq` is appended)."
  }
}

variable "sender_arns" {
  description = "The only IAM roles and users that may send to the queue; `*` and `?` are wildcards."
  type        = list(string)
}

variable "sender_rule_arns" {
  description = "EventBridge rules whose undelivered events may be sent to the queue."
  type        = list(string)
  default     = []
}

variable "dead_letter_sender_arns" {
  description = "The only IAM roles and users that may send to the dead-letter queue. SQS itself may always move messages there."
  type        = list(string)
  default     = []
}

variable "visibility_timeout_seconds" {
  description = "Seconds that a received message stays hidden. AWS asks for six times the consumer's timeout, plus its batching window."
  type        = number
  default     = 30

  validation {
    condition     = var.visibility_timeout_seconds >= 0 && var.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds must be between 0 and 43200 (12 hours)."
  }
}

variable "retention_seconds" {
  description = "Seconds that a message is kept."
  type        = number
  default     = 1209600

  validation {
    condition     = var.retention_seconds >= 60 && var.retention_seconds <= 1209600
    error_message = "retention_seconds must be between 60 and 1209600 (14 days)."
  }
}

variable "max_message_bytes" {
  description = "The largest message. SQS takes 1 MiB (1048576) since August 2025; version 5 of the AWS provider refuses more than 256 KiB. A unit needs about 1 KiB."
  type        = number
  default     = 262144

  validation {
    condition     = var.max_message_bytes >= 1024 && var.max_message_bytes <= 1048576
    error_message = "max_message_bytes must be between 1024 and 1048576."
  }
}

variable "dead_letter" {
  description = "Whether there is a dead-letter queue. SQS moves messages there that were received max_receive_count times; dead_letter_sender_arns may send to it."
  type        = bool
  default     = false
}

variable "max_receive_count" {
  description = "How often a message may be received before SQS moves it to the dead-letter queue."
  type        = number
  default     = 1000

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be between 1 and 1000, SQS's limits."
  }
}

variable "tags" {
  description = "Tags of the queues. Empty by default: restricted accounts deny sqs:TagQueue."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts messages; empty for SSE-SQS. Senders need kms:GenerateDataKey and kms:Decrypt, the consumer kms:Decrypt."
  type        = string
  default     = ""
  nullable    = false
}
