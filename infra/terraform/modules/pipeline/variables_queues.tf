# The queues and how transform is fed from them. The other variables are in variables.tf.

# ---- how transform is fed
variable "batch_size" {
  description = "The most units in one invocation of transform: 99 is one lot."
  type        = number
  default     = 99
  nullable    = false

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 99 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number between 1 and 99. Units above 99 would make a second lot, with small files of its own: a DynamoDB transaction takes 100 items, a lot and its 99 units."
  }
}

variable "batching_window_seconds" {
  description = "How long the queue waits for a fuller batch: fewer, larger Silver files, later."
  type        = number
  default     = 20
  nullable    = false
}

variable "maximum_concurrency" {
  description = "The most invocations of transform at once, 2 to 1000: the limit of speed and of cost. 10 cost about $1 an hour while all are busy; docs/decisions/0010-queues.md has the arithmetic."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency
    error_message = "maximum_concurrency must be a whole number between 2 and 1000, Lambda's limits."
  }

  validation {
    condition = (
      lookup(var.reserved_concurrency, "transform", -1) <= 0 # none reserved, or stopped on purpose
      || var.maximum_concurrency <= lookup(var.reserved_concurrency, "transform", -1)
    )
    error_message = "maximum_concurrency (${var.maximum_concurrency}) must not exceed reserved_concurrency.transform (${lookup(var.reserved_concurrency, "transform", -1)}): Lambda would receive units, be throttled and return them late. Lower the one or raise the other."
  }
}

variable "max_receive_count" {
  description = "A backstop: a unit that was received so often goes to the dead-letter queue, whatever the ledger says. Five attempts recorded in the ledger decide; receives do not, since a throttled invocation, or one without time left, uses them up without trying anything."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 100 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be a whole number between 100 and 1000. It is only a backstop: a lower number would make dead letters of units that were received, but never tried."
  }
}

variable "max_message_bytes" {
  description = "The largest message of a queue that Terraform makes. Up to 1048576 with version 6 of the AWS provider; version 5 refuses more than 262144. A unit needs about 1 KiB."
  type        = number
  default     = 262144
  nullable    = false
}

# ---- who may send
variable "unit_sender_arns" {
  description = "Roles of other parts of the platform that may send units."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "operator_principal_arns" {
  description = "IAM roles and users that may send units and dead letters besides the functions, such as for redriving dead letters. `*` is a wildcard in path and name, such as for the roles of IAM Identity Center. Everybody else is denied, administrators too."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.operator_principal_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "operator_principal_arns takes ARNs of IAM roles and users: arn:aws:iam::<account>:role/<path and name>. For a session (arn:aws:sts::...:assumed-role/<role>/<session>) give its role, such as arn:aws:iam::<account>:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operator_*."
  }

  validation {
    condition     = !anytrue([for arn in var.operator_principal_arns : can(regex(":(role|user)/[*?/]*$", arn))])
    error_message = "operator_principal_arns must not name all roles or all users of an account: give a name, a part of one, or a path."
  }
}

# ---- queues made beforehand
variable "existing_queue_url" {
  description = "A queue that exists already; Terraform then manages no queue at all, and existing_dlq_url is needed too. See scripts/create_sqs_queue.py."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_queue_url == "" || can(regex("^https?://.+/[A-Za-z0-9_-]+$", var.existing_queue_url))
    error_message = "existing_queue_url must be a queue's URL, such as https://sqs.<region>.amazonaws.com/<account>/<name>."
  }

  validation {
    condition     = (var.existing_queue_url == "") == (var.existing_queue_arn == "")
    error_message = "existing_queue_url and existing_queue_arn go together: set both or neither (scripts/create_sqs_queue.py writes both)."
  }
}

variable "existing_queue_arn" {
  description = "The ARN of the queue in existing_queue_url."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_queue_arn == "" || can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.existing_queue_arn))
    error_message = "existing_queue_arn must be a queue's ARN: arn:aws:sqs:<region>:<account>:<name>."
  }
}

variable "existing_dlq_url" {
  description = "The dead-letter queue of the existing queue. transform sends units there that failed five times."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_queue_url == "" || var.existing_dlq_url != ""
    error_message = "An existing queue needs a dead-letter queue, to which transform sends units that failed five times: set existing_dlq_url and existing_dlq_arn. `scripts/create_sqs_queue.py --with-dlq` makes both queues and writes all values; `scripts/ensure_dlq_for_queue.py` gives a dead-letter queue to a queue that has none."
  }

  validation {
    condition     = var.existing_dlq_url == "" || var.existing_queue_url != ""
    error_message = "existing_dlq_url belongs to an existing queue: set existing_queue_url and existing_queue_arn too."
  }

  validation {
    condition     = (var.existing_dlq_url == "") == (var.existing_dlq_arn == "")
    error_message = "existing_dlq_url and existing_dlq_arn go together: set both or neither."
  }
}

variable "existing_dlq_arn" {
  description = "The ARN of the queue in existing_dlq_url."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_dlq_arn == "" || can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.existing_dlq_arn))
    error_message = "existing_dlq_arn must be a queue's ARN: arn:aws:sqs:<region>:<account>:<name>."
  }

  validation {
    condition     = var.existing_dlq_arn == "" || var.existing_dlq_arn != var.existing_queue_arn
    error_message = "existing_dlq_arn must be another queue than existing_queue_arn: dead letters would be read as units again."
  }
}

variable "existing_ingest_failures_queue_url" {
  description = "With an existing queue: the queue for S3 events that ingest failed on three times. It must be a queue of its own: what is redriven from the dead-letter queue goes to transform, which takes units only."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_queue_url == "" || var.existing_ingest_failures_queue_url != ""
    error_message = "An existing queue needs a queue beside it for S3 events that ingest failed on: set existing_ingest_failures_queue_url and existing_ingest_failures_queue_arn. `scripts/create_sqs_queue.py --with-dlq` makes all three queues and writes all values."
  }

  validation {
    condition     = (var.existing_ingest_failures_queue_url == "") == (var.existing_ingest_failures_queue_arn == "")
    error_message = "existing_ingest_failures_queue_url and existing_ingest_failures_queue_arn go together: set both or neither."
  }
}

variable "existing_ingest_failures_queue_arn" {
  description = "The ARN of the queue in existing_ingest_failures_queue_url."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.existing_ingest_failures_queue_arn == "" || var.existing_queue_arn != ""
    error_message = "existing_ingest_failures_queue_arn belongs to an existing queue: set existing_queue_url and existing_queue_arn too."
  }

  validation {
    condition     = var.existing_ingest_failures_queue_arn == "" || !contains([var.existing_queue_arn, var.existing_dlq_arn], var.existing_ingest_failures_queue_arn)
    error_message = "existing_ingest_failures_queue_arn must be another queue than existing_queue_arn and existing_dlq_arn: failed events would be read as units, at once or after a redrive."
  }
}
