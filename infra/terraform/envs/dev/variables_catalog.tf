# ---- catalog (docs/data-guide.md)
variable "glue_enabled" {
  description = "Whether there are tables in Glue over Silver, quarantine and the history, Athena's workgroup with the documented queries, and a crawler."
  type        = bool
  default     = null
}

variable "glue_silver_prefix" {
  description = "What the crawler reads of the Silver bucket: silver/, or one dataset such as silver/shipments/. The table silver does not depend on it."
  type        = string
  default     = null
}

variable "glue_table_prefix" {
  description = "What the names of the crawler's tables begin with, so that they are never those of our tables or of a dataset."
  type        = string
  default     = null
}

variable "glue_left_out_datasets" {
  description = "Datasets that the table silver does not have, for example because a column has another type than the same one of other datasets. The crawler's tables and the lake have them."
  type        = list(string)
  default     = null
}

variable "glue_first_day" {
  description = "The first day (dt) that the table silver has. Rows of earlier days are in Silver all the same, and no query sees them. Each day costs a request for a listing in every query that names no days."
  type        = string
  default     = null
}

variable "glue_first_load_day" {
  description = "The first day (dt) that the tables quarantine and load_history have: no later than the day on which this pipeline loaded its first file."
  type        = string
  default     = null
}

variable "glue_analyst_policy_enabled" {
  description = "Whether there is a managed policy for the roles of analysts: they query everything and change nothing."
  type        = bool
  default     = null
}

variable "athena_scan_limit_bytes" {
  description = "A query that reads more than this is cancelled."
  type        = number
  default     = null
}

variable "athena_results_days" {
  description = "Days that the results of queries are kept."
  type        = number
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
