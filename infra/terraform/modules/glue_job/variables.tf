# ---- names
variable "project" {
  description = "Begins the role's name."
  type        = string
}

variable "name" {
  description = "The job's short name, such as compact: the role's and the temporary folder's."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]{1,32}$", var.name))
    error_message = "name may have up to 32 lower-case letters, digits and hyphens."
  }
}

variable "job_name" {
  description = "The job's name in Glue."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,255}$", var.job_name))
    error_message = "glue_job_name may have up to 255 letters, digits, hyphens, dots and underscores."
  }
}

variable "description" {
  description = "What the job does, in a sentence."
  type        = string
}

variable "tags" {
  description = "Tags of the job."
  type        = map(string)
  default     = {}
}

variable "restricted_tags" {
  description = "Tags of the role. Empty by default: restricted accounts deny iam:TagRole."
  type        = map(string)
  default     = {}
}

variable "iam_name_prefix" {
  description = "Prefix of the role's name, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role, where the account demands one; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

# ---- what it runs
variable "artifacts_bucket" {
  description = "The bucket that `make glue-assets` uploads to."
  type        = string
}

variable "script_key" {
  description = "The script's key in it."
  type        = string

  validation {
    condition     = can(regex("^[^/].*/[^/]+\\.py$", var.script_key))
    error_message = "glue_job_script_key must be a key such as glue/scripts/compact_silver.py."
  }
}

variable "core_key" {
  description = "The key of the package that the script imports (a zip of Python files)."
  type        = string
}

variable "wheels_key" {
  description = "The key of the zip of wheels that Glue installs beside what it brings. Its name ends with .gluewheels.zip."
  type        = string

  validation {
    condition     = endswith(var.wheels_key, ".gluewheels.zip")
    error_message = "wheels_key must end with .gluewheels.zip: by that Glue knows a zip of wheels."
  }
}

variable "temp_prefix" {
  description = "The folder of the artifacts bucket for what Glue keeps while a job runs."
  type        = string
  default     = "glue/tmp"
  nullable    = false
}

variable "arguments" {
  description = "More arguments of the job, beside those that every job of ours has."
  type        = map(string)
  default     = {}
  nullable    = false
}

# ---- what it may do
variable "statements" {
  description = "What the job does beside running: statement id -> actions, resource ARNs, condition, as modules/role takes them."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(list(string))), {})
  }))
}

variable "kms_key_arn" {
  description = "The KMS key of the buckets; empty for keys of AWS."
  type        = string
  default     = ""
  nullable    = false
}

# ---- how large it is
variable "worker_type" {
  description = "The size of a worker: G.1X has 4 vCPUs, 16 GB and 94 GB of disk."
  type        = string
  default     = "G.1X"
  nullable    = false

  validation {
    condition     = contains(["G.1X", "G.2X", "G.4X", "G.8X"], var.worker_type)
    error_message = "worker_type must be G.1X, G.2X, G.4X or G.8X."
  }
}

variable "workers" {
  description = "Workers at most, the driver's included; Glue starts no more than there is work for."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.workers >= 2 && var.workers <= 299
    error_message = "workers must be from 2 to 299."
  }
}

variable "timeout_minutes" {
  description = "Minutes after which Glue stops a run."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout_minutes >= 1 && var.timeout_minutes <= 2880
    error_message = "timeout_minutes must be from 1 to 2880."
  }
}

variable "concurrent_runs" {
  description = "Runs at the same time, such as of different partitions."
  type        = number
  default     = 4
  nullable    = false
}
