variable "gate" {
  description = "The quality gate: `enabled` is its Glue job, `workflow_enabled` the workflow around it; the rest are variables of modules/workflow_ge_gate. Both exist once `make glue-assets` has uploaded what the job runs."
  type = object({
    enabled             = optional(bool, false)
    workflow_enabled    = optional(bool, false)
    emit_events         = optional(bool, false)
    eventbridge_enabled = optional(bool, false)
    every_minutes       = optional(number)
    topic_arn           = optional(string)
    topic_kms_key_arn   = optional(string)
    quarantine_enabled  = optional(bool)
    quarantine_prefix   = optional(string)
    workers             = optional(number)
    timeout_minutes     = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = !var.gate.workflow_enabled || var.gate.enabled
    error_message = "ge_workflow_enabled needs ge_enabled = true: the workflow runs that job."
  }

  validation {
    condition     = !var.gate.emit_events || var.gate.workflow_enabled
    error_message = "ge_emit_events_from_transform needs ge_workflow_enabled = true: its announcer reads the marks that transform leaves; without it they would only pile up."
  }

  validation {
    condition     = !var.gate.eventbridge_enabled || var.gate.emit_events
    error_message = "ge_eventbridge_enabled needs ge_emit_events_from_transform = true: without events, the rule would never start anything."
  }
}
