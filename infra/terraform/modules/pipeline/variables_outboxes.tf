variable "outboxes" {
  description = "Whose marks transform leaves in the ledger with each commit: events (the announcer of written partitions), publish (the lake's tables)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.outboxes, ["events", "publish"])) == 0
    error_message = "outboxes may name events and publish."
  }
}
