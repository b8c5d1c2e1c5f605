# The platform's variables (its parts, such as modules/pipeline, have their defaults and check them), and where it is deployed.
# What is left out of dev.tfvars has its default.

variable "region" {
  description = "The AWS region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as us-east-2."
  }
}

variable "account_id" {
  description = "The only AWS account that this environment may be applied to; empty for whichever the credentials are of."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.account_id == "" || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be an AWS account's 12 digits, or empty."
  }
}

# ---- names
variable "project" {
  description = "Begins every resource's name and is the metrics' namespace. Another project in the same account is another pipeline."
  type        = string
}

variable "bronze_bucket_name" {
  description = "The Bronze bucket's name; empty for `<project>-bronze-<account>-<region>`."
  type        = string
  default     = null
}

variable "create_bronze_bucket" {
  description = "Whether Terraform makes the Bronze bucket. If not, bronze_bucket_name exists already and is not changed: its owner turns EventBridge on for it."
  type        = bool
  default     = null
}

variable "bronze_kms_key_arn" {
  description = "With a Bronze bucket that exists: the KMS key of its objects (SSE-KMS), which transform may then use for reading; empty for SSE-S3. A key of another account must allow transform's role itself."
  type        = string
  default     = null
}

variable "bronze_eventbridge_enabled" {
  description = "Whether the Bronze bucket that Terraform makes sends its events to EventBridge too, for rules of your own. ingest is told without it."
  type        = bool
  default     = null
}

variable "artifacts_bucket_enabled" {
  description = "Whether there is a bucket for what jobs run: scripts, wheels, packages."
  type        = bool
  default     = null
}

variable "operator_policies_enabled" {
  description = "Whether there are managed policies for the roles of operators: read, redrive, replay, retract (docs/operations.md)."
  type        = bool
  default     = null
}

variable "silver_bucket_name" {
  description = "The Silver bucket's name; empty for `<project>-silver-<account>-<region>`."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource, but of IAM roles and SQS queues only with tag_iam_and_sqs."
  type        = map(string)
  default     = null
}

variable "tag_iam_and_sqs" {
  description = "Whether IAM roles and SQS queues are tagged too. Restricted accounts deny iam:TagRole and sqs:TagQueue."
  type        = bool
  default     = null
}

# ---- functions
variable "images" {
  description = "Function (ingest, transform) -> its image by digest. `make push-images` writes it to images.auto.tfvars.json."
  type        = map(string)
  default     = null
}

variable "architecture" {
  description = "The processor architecture that the images were built for: x86_64 or arm64."
  type        = string
  default     = null
}

variable "ingest_memory_mb" {
  description = "Memory of ingest in MB. It reads no objects, so little is enough."
  type        = number
  default     = null
}

variable "ingest_timeout_seconds" {
  description = "Timeout of ingest in seconds."
  type        = number
  default     = null
}

variable "transform_memory_mb" {
  description = "Memory of transform in MB: 1769 is one whole core, which is what one invocation uses."
  type        = number
  default     = null
}

variable "transform_timeout_seconds" {
  description = "Timeout of transform in seconds. A compressed object must be read within it; the messages of a worker that died come again after six times as long."
  type        = number
  default     = null
}

variable "reserved_concurrency" {
  description = "Function (ingest, transform) -> its reserved concurrency. Functions that are not named share the account's."
  type        = map(number)
  default     = null
}

variable "environment" {
  description = "More environment variables of all functions, such as UNIT_BYTES, LOT_BYTES or MAX_ROW_BYTES."
  type        = map(string)
  default     = null
}

variable "tracing_enabled" {
  description = "Whether the functions are traced by X-Ray."
  type        = bool
  default     = null
}

variable "application_log_level" {
  description = "The least that the functions' own logs tell: TRACE, DEBUG or INFO. Lambda filters by it, and takes the functions' metrics for INFO."
  type        = string
  default     = null
}

variable "system_log_level" {
  description = "The least that Lambda's own logs of the functions tell: DEBUG, INFO or WARN."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days that the functions' logs are kept."
  type        = number
  default     = null
}

variable "iam_name_prefix" {
  description = "Prefix of role names, for accounts that allow only certain names."
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles, where the account demands one; empty for none."
  type        = string
  default     = null
}

# ---- queue
variable "batch_size" {
  description = "The most units in one invocation of transform: 99 is one lot."
  type        = number
  default     = null
}

variable "batching_window_seconds" {
  description = "How long the queue waits for a fuller batch: fewer, larger Silver files, later."
  type        = number
  default     = null
}

variable "maximum_concurrency" {
  description = "The most invocations of transform at once, 2 to 1000: the limit of speed and of cost. 10 cost about $1 an hour while all are busy; docs/decisions/0010-queues.md has the arithmetic."
  type        = number
  default     = null
}

variable "max_receive_count" {
  description = "A backstop: a unit that was received so often goes to the dead-letter queue, whatever the ledger says. Five attempts recorded in the ledger decide; receives do not, since a throttled invocation, or one without time left, uses them up without trying anything."
  type        = number
  default     = null
}

variable "max_message_bytes" {
  description = "The largest message of a queue that Terraform makes. Up to 1048576 with version 6 of the AWS provider; version 5 refuses more than 262144. A unit needs about 1 KiB."
  type        = number
  default     = null
}

variable "operator_principal_arns" {
  description = "IAM roles and users that may send units and dead letters besides the functions, such as for redriving dead letters. `*` is a wildcard in path and name, such as for the roles of IAM Identity Center. Everybody else is denied, administrators too."
  type        = list(string)
  default     = null
}

variable "existing_queue_url" {
  description = "A queue that exists already; Terraform then manages no queue at all, and existing_dlq_url is needed too. See scripts/create_sqs_queue.py."
  type        = string
  default     = null
}

variable "existing_queue_arn" {
  description = "The ARN of the queue in existing_queue_url."
  type        = string
  default     = null
}

variable "existing_dlq_url" {
  description = "The dead-letter queue of the existing queue. transform sends units there that failed five times."
  type        = string
  default     = null
}

variable "existing_dlq_arn" {
  description = "The ARN of the queue in existing_dlq_url."
  type        = string
  default     = null
}

variable "existing_ingest_failures_queue_url" {
  description = "With an existing queue: the queue for S3 events that ingest failed on three times; neither of the other two."
  type        = string
  default     = null
}

variable "existing_ingest_failures_queue_arn" {
  description = "The ARN of the queue in existing_ingest_failures_queue_url."
  type        = string
  default     = null
}

# ---- what is kept
variable "bronze_noncurrent_days" {
  description = "Days that overwritten or deleted Bronze versions are kept; 0 for ever."
  type        = number
  default     = null
}

variable "silver_noncurrent_days" {
  description = "Days that overwritten or deleted Silver versions are kept; 0 for ever."
  type        = number
  default     = null
}

variable "quarantine_expiry_days" {
  description = "Days after which quarantined rows expire; 0 (the default) keeps them."
  type        = number
  default     = null
}

variable "kms_key_arn" {
  description = "The KMS key, of this region, that encrypts queues, ledger and buckets that Terraform makes; empty for keys of AWS. The key's policy must let this account's IAM policies decide; each role gets only what it needs."
  type        = string
  default     = null
}

variable "ledger_deletion_protection" {
  description = "Whether the ledger's table refuses to be deleted."
  type        = bool
  default     = null
}

# ---- observability
variable "observability_enabled" {
  description = "Whether alarms and a dashboard are created. Restricted accounts deny cloudwatch:PutMetricAlarm and cloudwatch:PutDashboard."
  type        = bool
  default     = null
}

variable "alarm_notification_topic_arn" {
  description = "The SNS topic that alarms go to; empty to create one."
  type        = string
  default     = null
}

variable "alarm_oldest_message_seconds" {
  description = "A unit that waits longer than this raises an alarm."
  type        = number
  default     = null
}

variable "alarm_quarantine_percent" {
  description = "A larger share of an hour's rows in quarantine raises an alarm."
  type        = number
  default     = null
}

variable "alarm_no_data_hours" {
  description = "So many hours without a new object raise an alarm; 0 where that is normal, 168 (a week) at most."
  type        = number
  default     = null
}

# ---- operations
variable "ops_enabled" {
  description = "Whether there are the operators' functions: the workflow that replays and checks, and the scheduled sweep, archive and reconcile."
  type        = bool
  default     = null
}

variable "ops_workflow_id" {
  description = "The state machine's name, after `<project>-`."
  type        = string
  default     = null
}

variable "ops_reserved_concurrency" {
  description = "Function (replay, probe, reconcile, sweep, archive, rewrite) -> its reserved concurrency. Functions that are not named share the account's."
  type        = map(number)
  default     = null
}

variable "ops_schedule_enabled" {
  description = "Whether the workflow is started by a schedule."
  type        = bool
  default     = null
}

variable "ops_schedule_expression" {
  description = "When the workflow is started: `rate(1 day)`, `cron(...)` or `at(...)`, as EventBridge Scheduler takes it (in UTC)."
  type        = string
  default     = null
}

variable "ops_schedule_input" {
  description = "The input of scheduled executions besides the buckets, such as { src_prefix = \"bronze/shipments/\", record_type = \"shipments\" }; docs/workflow.md explains each key."
  type        = any
  default     = null
}

variable "ops_sweep_schedule_expression" {
  description = "When finished objects are marked DONE and leftover files deleted; empty for never."
  type        = string
  default     = null
}

variable "ops_archive_schedule_expression" {
  description = "When history is written; empty for never."
  type        = string
  default     = null
}

variable "ops_reconcile_schedule_expression" {
  description = "When Bronze is compared with the ledger, and what was never announced or never finished is sent again; empty for never."
  type        = string
  default     = null
}
