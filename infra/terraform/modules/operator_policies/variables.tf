variable "project" {
  description = "Begins the policies' names."
  type        = string
}

variable "iam_name_prefix" {
  description = "Prefix of the policies' names, for accounts that allow only certain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "arns" {
  description = "What the policies are about: the output `arns` of modules/pipeline. dlq and ingest_failures_queue may be empty."
  type = object({
    bronze_bucket         = string
    silver_bucket         = string
    ledger_table          = string
    queue                 = string
    dlq                   = string
    ingest_failures_queue = string
  })
}

variable "ingest_function_arn" {
  description = "The ingest function, which failed S3 events are sent to."
  type        = string
}

variable "lake_table_arns" {
  description = "With the lake: what modules/lake gives as table_arns, so that `read` lets the audit look at the tables too; empty without."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "kms_key_arns" {
  description = "Keys that encrypt ledger, queues and buckets; empty for keys of AWS."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags of the policies. Empty by default: restricted accounts deny iam:TagPolicy."
  type        = map(string)
  default     = {}
  nullable    = false
}
