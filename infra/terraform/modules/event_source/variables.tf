variable "queue_arn" {
  description = "The queue that feeds the function."
  type        = string
}

variable "function_arn" {
  description = "The function that is fed. Its role must allow ReceiveMessage, DeleteMessage and GetQueueAttributes on the queue."
  type        = string
}

variable "batch_size" {
  description = "The most messages in one invocation."
  type        = number
  default     = 99

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000
    error_message = "batch_size must be between 1 and 10000, Lambda's limits."
  }
}

variable "batching_window_seconds" {
  description = "The longest wait for a fuller batch: more rows in a file, later. AWS demands at least 1 for batches over 10."
  type        = number
  default     = 20

  validation {
    condition     = var.batching_window_seconds >= 0 && var.batching_window_seconds <= 300
    error_message = "batching_window_seconds must be between 0 and 300."
  }

  validation {
    condition     = var.batch_size <= 10 || var.batching_window_seconds >= 1
    error_message = "batching_window_seconds must be at least 1 where batch_size is over 10."
  }
}

variable "maximum_concurrency" {
  description = "The most invocations at once from this queue, 2 to 1000."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency must be between 2 and 1000, Lambda's limits."
  }
}

variable "tags" {
  description = "Tags of the event source mapping."
  type        = map(string)
  default     = {}
}
