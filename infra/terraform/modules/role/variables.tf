# ---- who takes it on
variable "name" {
  description = "The role's name, without the prefix."
  type        = string
}

variable "description" {
  description = "What the role is for, in a sentence."
  type        = string
  default     = null
}

variable "service" {
  description = "The AWS service that takes the role on, such as `lambda.amazonaws.com` or `states.amazonaws.com`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+\\.amazonaws\\.com(\\.cn)?$", var.service))
    error_message = "service must be a service principal, such as lambda.amazonaws.com."
  }
}

variable "from_this_account_only" {
  description = "Whether the service must act for this account (`aws:SourceAccount`). Not for Lambda, which does not send that key when it takes on a function's role."
  type        = bool
  default     = true
  nullable    = false
}

variable "source_arns" {
  description = "The only resources for which the service may take the role on (`aws:SourceArn`; `*` and `?` are wildcards), such as a schedule group. Empty: any that trust_conditions let in."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "trust_conditions" {
  description = "More conditions of the trust policy: operator -> key -> values. An operator that is named here replaces the module's own use of it."
  type        = map(map(list(string)))
  default     = {}
  nullable    = false
}

# ---- what it may do
variable "statements" {
  description = "What the role allows: statement id -> actions, resource ARNs and, if any, the condition (operator -> key -> values)."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(list(string))), {})
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for statement in values(var.statements) : !contains(statement.resources, "*") && alltrue([for action in statement.actions : !strcontains(action, "*")])])
    error_message = "Name each action and each resource; this role takes no wildcard for either."
  }
}

variable "unscoped_actions" {
  description = "Actions for which AWS accepts no resource but `*` (Service Authorization Reference)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([for action in var.unscoped_actions : contains([
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ], action)])
    error_message = "unscoped_actions takes actions of X-Ray and of log deliveries. Does AWS accept an action for `*` only? Then add it to this list; else name its resources in statements."
  }
}

# ---- what an account demands
variable "name_prefix" {
  description = "Prefix of the role's name, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{0,32}$", var.name_prefix))
    error_message = "name_prefix may have up to 32 letters, digits and +=,.@_-"
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role, where the account demands one; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

variable "tags" {
  description = "Tags of the role. Empty by default: restricted accounts deny iam:TagRole."
  type        = map(string)
  default     = {}
  nullable    = false
}
