# ---- names
variable "project" {
  description = "Begins every resource's name and is the metrics' namespace. Another project in the same account is another pipeline."
  type        = string

  validation {
    condition = (
      length(var.project) >= local.project_limits.min && length(var.project) <= local.project_limits.max
      && can(regex(local.project_limits.pattern, var.project))
      && !anytrue([for prefix in local.project_limits.reserved_prefixes : startswith(var.project, prefix)])
    )
    error_message = "project must have ${local.project_limits.min} to ${local.project_limits.max} lower-case letters, digits or single hyphens between them, begin with a letter, and not begin with ${join(" or ", local.project_limits.reserved_prefixes)}: names of buckets, queues, repositories and roles are built from it (infra/terraform/names.json)."
  }
}

variable "silver_bucket_name" {
  description = "The Silver bucket's name; empty for `<project>-silver-<account>-<region>`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.silver_bucket_name == "" || length(var.silver_bucket_name) >= local.limits.aws_s3_bucket.min && length(var.silver_bucket_name) <= local.limits.aws_s3_bucket.max && can(regex(local.limits.aws_s3_bucket.pattern, var.silver_bucket_name))
    error_message = "silver_bucket_name must have ${local.limits.aws_s3_bucket.min} to ${local.limits.aws_s3_bucket.max} lower-case letters, digits or hyphens, and begin and end with a letter or digit."
  }

  validation {
    condition     = var.silver_bucket_name == "" || var.silver_bucket_name != var.bronze_bucket_name
    error_message = "silver_bucket_name must be another bucket than bronze_bucket_name."
  }
}

variable "tags" {
  description = "Tags of every resource, but of IAM roles and SQS queues only with tag_iam_and_sqs."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = !anytrue([for key in keys(var.tags) : startswith(lower(key), "aws:")])
    error_message = "tags may not begin with aws:, which AWS keeps for itself."
  }

  validation {
    condition     = !contains(keys(var.tags), "")
    error_message = "A tag needs a name: AWS refuses an empty key."
  }
}

variable "tag_iam_and_sqs" {
  description = "Whether IAM roles and SQS queues are tagged too. Restricted accounts deny iam:TagRole and sqs:TagQueue."
  type        = bool
  default     = false
  nullable    = false
}

# ---- functions
variable "images" {
  description = "Function (ingest, transform) -> its image by digest. `make push-images` writes it to images.auto.tfvars.json."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for function in local.functions : contains(keys(var.images), function)])
    error_message = "images must name the images of ${join(" and ", local.functions)}. Run `make push-images` first: it builds and pushes them and writes images.auto.tfvars.json."
  }

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", image))])
    error_message = "Every image must be named by digest (`<repository>@sha256:<64 hex digits>`), as `make push-images` writes it; a tag could change under a running function."
  }
}

variable "architecture" {
  description = "The processor architecture that the images were built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false
}

variable "ingest_memory_mb" {
  description = "Memory of ingest in MB. It reads no objects, so little is enough."
  type        = number
  default     = 512
  nullable    = false
}

variable "ingest_timeout_seconds" {
  description = "Timeout of ingest in seconds. An event takes a fraction of a second; only an object of tens of TB needs minutes."
  type        = number
  default     = 900
  nullable    = false
}

variable "transform_memory_mb" {
  description = "Memory of transform in MB: 1769 is one whole core, which is what one invocation uses."
  type        = number
  default     = 1769
  nullable    = false

  validation {
    condition     = var.transform_memory_mb >= 512
    error_message = "transform_memory_mb must be at least 512: a lot's rows (128 MiB) and their Parquet need up to 431 MiB (docs/benchmarks.md)."
  }
}

variable "transform_timeout_seconds" {
  description = "Timeout of transform in seconds. A compressed object must be read within it; the messages of a worker that died come again after six times as long."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.transform_timeout_seconds >= 30 && var.transform_timeout_seconds <= 900
    error_message = "transform_timeout_seconds must be between 30 and 900, Lambda's limit."
  }
}

variable "reserved_concurrency" {
  description = "Function (ingest, transform) -> its reserved concurrency. Functions that are not named share the account's."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.reserved_concurrency), local.functions)) == 0
    error_message = "reserved_concurrency takes the functions ${join(" and ", local.functions)}."
  }
}

variable "environment" {
  description = "More environment variables of all functions, such as UNIT_BYTES, LOT_BYTES or MAX_ROW_BYTES."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = !contains(keys(var.environment), "POWERTOOLS_LOG_LEVEL")
    error_message = "POWERTOOLS_LOG_LEVEL has no effect where Lambda filters logs by its own level: set application_log_level."
  }

  # The alarms watch these metrics by namespace and service.
  validation {
    condition     = length(setintersection(keys(var.environment), ["POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"])) == 0
    error_message = "environment must not set POWERTOOLS_METRICS_NAMESPACE, POWERTOOLS_SERVICE_NAME or POWERTOOLS_METRICS_DISABLED: alarms and dashboard find the functions' metrics by them, and would see nothing."
  }

  # What services/shared/settings.py reads, and the least that it takes; a test compares them.
  validation {
    condition = alltrue([
      for name in keys(var.environment) :
      contains(["UNIT_BYTES", "LOT_BYTES", "MAX_ROW_BYTES"], name) || startswith(name, "POWERTOOLS_")
    ])
    error_message = "environment takes UNIT_BYTES, LOT_BYTES, MAX_ROW_BYTES and settings of Powertools (POWERTOOLS_*); nothing would read another name."
  }

  validation {
    condition = alltrue([
      for name, least in { UNIT_BYTES = 1024, LOT_BYTES = 1048576, MAX_ROW_BYTES = 1024 } :
      try(tonumber(lookup(var.environment, name, least)) >= least, false) && can(regex("^[0-9]+$", lookup(var.environment, name, least)))
    ])
    error_message = "In environment these are whole numbers of at least: UNIT_BYTES 1024, LOT_BYTES 1048576, MAX_ROW_BYTES 1024."
  }
}

variable "tracing_enabled" {
  description = "Whether the functions are traced by X-Ray."
  type        = bool
  default     = true
  nullable    = false
}

variable "application_log_level" {
  description = "The least that the functions' own logs tell: TRACE, DEBUG or INFO. Lambda filters by it, and takes the functions' metrics, which are lines of the log, for INFO."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO"], var.application_log_level)
    error_message = "application_log_level must be TRACE, DEBUG or INFO. Lambda would drop the functions' metrics at WARN, ERROR or FATAL: they are lines of the log without a level, which it takes for INFO, and alarms would never be raised."
  }
}

variable "system_log_level" {
  description = "The least that Lambda's own logs of the functions tell: DEBUG, INFO or WARN."
  type        = string
  default     = "INFO"
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that the functions' logs are kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "iam_name_prefix" {
  description = "Prefix of role names, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles, where the account demands one; empty for none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.permissions_boundary_arn == "" || can(regex("^arn:[a-z-]+:iam::[0-9a-z]+:policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or empty."
  }
}

# ---- what is kept
variable "silver_noncurrent_days" {
  description = "Days that overwritten or deleted Silver versions are kept; 0 for ever."
  type        = number
  default     = 30
  nullable    = false
}

variable "quarantine_expiry_days" {
  description = "Days after which quarantined rows expire; 0 (the default) keeps them."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.quarantine_expiry_days >= 0 && floor(var.quarantine_expiry_days) == var.quarantine_expiry_days
    error_message = "quarantine_expiry_days must be a whole number of days, or 0 to keep quarantined rows."
  }
}

variable "kms_key_arn" {
  description = "The KMS key, of this region, that encrypts queues, ledger and buckets that Terraform makes; empty for keys of AWS. The key's policy must let this account's IAM policies decide; each role gets only what it needs."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), not of an alias; or empty."
  }

  validation {
    condition     = var.kms_key_arn == "" || var.existing_queue_url == ""
    error_message = "kms_key_arn encrypts queues that Terraform makes. With existing queues the functions would have no right to those queues' keys: leave one of the two empty."
  }
}

variable "ledger_deletion_protection" {
  description = "Whether the ledger's table refuses to be deleted."
  type        = bool
  default     = true
  nullable    = false
}

# ---- observability
variable "observability_enabled" {
  description = "Whether alarms and a dashboard are created. Restricted accounts deny cloudwatch:PutMetricAlarm and cloudwatch:PutDashboard."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarm_notification_topic_arn" {
  description = "The SNS topic that alarms go to; empty to create one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.alarm_notification_topic_arn == "" || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:.+$", var.alarm_notification_topic_arn))
    error_message = "alarm_notification_topic_arn must be an SNS topic's ARN: arn:aws:sns:<region>:<account>:<name>; or empty."
  }
}

variable "alarm_oldest_message_seconds" {
  description = "A unit that waits longer than this raises an alarm."
  type        = number
  default     = 3600
  nullable    = false
}

variable "alarm_quarantine_percent" {
  description = "A larger share of an hour's rows in quarantine raises an alarm."
  type        = number
  default     = 5
  nullable    = false
}

variable "alarm_no_data_hours" {
  description = "So many hours without a new object raise an alarm; 0 where that is normal, 168 (a week) at most."
  type        = number
  default     = 24
  nullable    = false
}
