# ---- names
variable "project" {
  description = "Begins every resource's name; the database's with _ for -."
  type        = string
}

variable "tags" {
  description = "Tags of every resource but the role and the policy."
  type        = map(string)
  default     = {}
}

variable "restricted_tags" {
  description = "Tags of the crawler's role and the analysts' policy. Empty by default: restricted accounts deny iam:TagRole."
  type        = map(string)
  default     = {}
}

variable "iam_name_prefix" {
  description = "Prefix of the names of role and policy, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the crawler's role, where the account demands one; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

# ---- what the tables are about
variable "silver_bucket" {
  description = "The Silver bucket's name: silver/, quarantine/ and history/ are in it."
  type        = string
}

variable "silver_bucket_arn" {
  description = "The Silver bucket's ARN."
  type        = string
}

variable "kms_key_arn" {
  description = "The KMS key of Silver, with which Athena's results are encrypted too; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

variable "contracts_dir" {
  description = "The folder of the contracts; null for `contracts` of this repository."
  type        = string
  default     = null
}

variable "queries_dir" {
  description = "The folder of the documented queries; null for `sql/athena` of this repository."
  type        = string
  default     = null
}

variable "left_out_datasets" {
  description = "Datasets that the table silver does not have, for example because a column has another type than the same one of other datasets. The crawler's tables and the lake have them."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "first_day" {
  description = "The first day (dt) that the table silver has. Rows of earlier days are in Silver all the same, and no query sees them. Each day costs a request for a listing in every query that names no days."
  type        = string
  default     = "2020-01-01"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.first_day)) && can(formatdate("YYYY", "${var.first_day}T00:00:00Z"))
    error_message = "first_day must be a day such as 2020-01-01."
  }
}

variable "first_load_day" {
  description = "The first day (dt) that the tables quarantine and load_history have: no later than the day on which this pipeline loaded its first file."
  type        = string
  default     = "2026-01-01"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.first_load_day)) && can(formatdate("YYYY", "${var.first_load_day}T00:00:00Z"))
    error_message = "first_load_day must be a day such as 2026-01-01."
  }
}

# ---- crawler
variable "silver_prefix" {
  description = "What the crawler reads of the Silver bucket: a folder whose folders are datasets (`silver/`), or one dataset in it (`silver/shipments/`). The tables silver and quarantine do not depend on it."
  type        = string
  default     = "silver/"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]*/([a-z][a-z0-9_]*/)?$", var.silver_prefix))
    error_message = "silver_prefix must be a folder that ends with /, such as silver/ or silver/shipments/."
  }
}

variable "table_prefix" {
  description = "What the names of the crawler's tables begin with, so that they are never those of our tables or of a dataset."
  type        = string
  default     = "silver_"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}_$", var.table_prefix))
    error_message = "table_prefix must be lower-case letters, digits and _, begin with a letter and end with _, such as silver_."
  }
}

# ---- Athena
variable "scan_limit_bytes" {
  description = "A query that reads more than this is cancelled: at $5 a TB, 100 GB (the default) are 50 cents."
  type        = number
  default     = 107374182400
  nullable    = false

  validation {
    condition     = var.scan_limit_bytes >= 10485760
    error_message = "scan_limit_bytes must be at least 10485760 (10 MB), Athena's minimum."
  }
}

variable "results_days" {
  description = "Days that the results of queries are kept."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.results_days >= 1
    error_message = "results_days must be at least 1."
  }
}

variable "analyst_policy_enabled" {
  description = "Whether there is a managed policy for the roles of analysts: they query everything and change nothing."
  type        = bool
  default     = false
  nullable    = false
}
