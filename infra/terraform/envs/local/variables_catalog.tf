variable "glue_enabled" {
  description = "Whether there are tables in Glue over Silver, quarantine and the history, Athena's workgroup with the documented queries, and a crawler."
  type        = bool
  default     = null
}

variable "glue_analyst_policy_enabled" {
  description = "Whether there is a managed policy for the roles of analysts."
  type        = bool
  default     = null
}

variable "contracts_dir" {
  description = "The folder of the contracts from which tables are made; null for `contracts` of this repository."
  type        = string
  default     = null
}

variable "queries_dir" {
  description = "The folder of the documented queries; null for `sql/athena` of this repository."
  type        = string
  default     = null
}
