variable "queue_arn" {
  description = "The queue."
  type        = string
}

variable "sender_arns" {
  description = "The only IAM roles and users that may send to it; `*` and `?` are wildcards."
  type        = list(string)

  validation {
    condition     = length(var.sender_arns) > 0
    error_message = "sender_arns must name at least one role or user: with none, nobody could send to the queue."
  }
}

variable "sender_rule_arns" {
  description = "EventBridge rules that may send to it too, such as the events that a rule could not deliver."
  type        = list(string)
  default     = []
}

variable "redrive_source_arns" {
  description = "The only queues that may name it as their dead-letter queue. Empty for none: otherwise anybody who can create a queue in the account could have SQS move messages into this one."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.redrive_source_arns) <= 10
    error_message = "redrive_source_arns takes up to 10 queues, SQS's limit."
  }
}
