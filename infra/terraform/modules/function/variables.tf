# ---- what it is
variable "name" {
  description = "The function's name; its role and log group are named after it."
  type        = string

  validation {
    condition     = length(var.name) <= local.limits.max && can(regex(local.limits.pattern, var.name))
    error_message = "A function's name has up to ${local.limits.max} letters, digits, hyphens or underscores."
  }
}

variable "description" {
  description = "What the function does, in a sentence."
  type        = string
}

variable "image_uri" {
  description = "The image, by digest: `<repository>@sha256:<64 hex digits>`. A tag could change under a running function."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", var.image_uri))
    error_message = "image_uri must name a digest (`...@sha256:<64 hex digits>`); `make push-images` writes it."
  }
}

variable "command" {
  description = "The handler, in place of the image's own: one image may hold several functions."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "architecture" {
  description = "The image's processor architecture: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64, and the one that the image was built for."
  }
}

variable "environment" {
  description = "The function's environment variables. No secrets: they are readable in the console."
  type        = map(string)
  default     = {}
}

# ---- how much it gets
variable "memory_mb" {
  description = "Memory in MB; CPU comes with it (1769 MB is one whole core)."
  type        = number

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must be between 128 and 10240."
  }
}

variable "timeout_seconds" {
  description = "Seconds after which an invocation is ended."
  type        = number

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be between 1 and 900, Lambda's limit."
  }
}

variable "reserved_concurrency" {
  description = "Concurrent executions that are reserved for, and the limit of, this function; -1 for none. New accounts have only 10 in all."
  type        = number
  default     = -1

  validation {
    condition     = var.reserved_concurrency >= -1 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "reserved_concurrency must be -1 (none reserved), 0 (the function is stopped) or more."
  }
}

# ---- what it may do
variable "statements" {
  description = "What the function's role allows besides its own logs and traces: statement id -> actions, resource ARNs and, if any, the condition (operator -> key -> values)."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(list(string))), {})
  }))
  default = {}
}

variable "iam_name_prefix" {
  description = "Prefix of the role's name, for accounts that allow only certain names."
  type        = string
  default     = ""
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role, where the account demands one; empty for none."
  type        = string
  default     = ""
}

# ---- what is seen of it
variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's periods: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "application_log_level" {
  description = "The least that the function's own logs tell: TRACE, DEBUG, INFO, WARN, ERROR or FATAL. With logs in JSON Lambda filters by it, whatever POWERTOOLS_LOG_LEVEL says; above INFO it also drops metrics that are written to the log (EMF)."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.application_log_level)
    error_message = "application_log_level must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }
}

variable "system_log_level" {
  description = "The least that Lambda's own logs of the function tell: DEBUG, INFO (start, end and report of each invocation) or WARN."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARN"], var.system_log_level)
    error_message = "system_log_level must be DEBUG, INFO or WARN."
  }
}

variable "tracing_enabled" {
  description = "Whether invocations are traced by X-Ray."
  type        = bool
  default     = true
}

# ---- what happens when it fails
variable "on_failure" {
  description = "For asynchronous invocations: the SQS queue that gets an event after three failures (statements must allow sqs:SendMessage to it). Null where nobody invokes it asynchronously."
  type = object({
    queue_arn = string
  })
  default = null
}

variable "tags" {
  description = "Tags of the function and its log group."
  type        = map(string)
  default     = {}
}

variable "role_tags" {
  description = "Tags of the role. Empty by default: restricted accounts deny iam:TagRole."
  type        = map(string)
  default     = {}
}
