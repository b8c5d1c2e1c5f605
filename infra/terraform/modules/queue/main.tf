# A queue, encrypted and TLS only, to which only named principals send; with a dead-letter queue beside it that only this
# queue may use. ARNs are built from names, so that a plan shows both policies in full.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_sqs_queue

  arn_prefix = format(
    "arn:%s:sqs:%s:%s",
    data.aws_partition.current.partition,
    data.aws_region.current.name,
    data.aws_caller_identity.current.account_id,
  )
  arn             = "${local.arn_prefix}:${var.name}"
  dead_letter_arn = "${local.arn}-dlq"
}

resource "aws_sqs_queue" "this" {
  name                       = var.name
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.retention_seconds
  max_message_size           = var.max_message_bytes
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = var.kms_key_arn == "" ? true : null
  kms_master_key_id          = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                       = var.tags

  redrive_policy = !var.dead_letter ? null : jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[0].arn
    maxReceiveCount     = var.max_receive_count
  })
}

module "access" {
  source = "../queue_access"

  queue_arn        = local.arn
  sender_arns      = var.sender_arns
  sender_rule_arns = var.sender_rule_arns
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.url
  policy    = module.access.policy
}

resource "aws_sqs_queue_redrive_allow_policy" "this" {
  queue_url            = aws_sqs_queue.this.url
  redrive_allow_policy = module.access.redrive_allow_policy
}

resource "aws_sqs_queue" "dead_letter" {
  count = var.dead_letter ? 1 : 0

  name                      = "${var.name}-dlq"
  message_retention_seconds = 1209600
  max_message_size          = var.max_message_bytes
  sqs_managed_sse_enabled   = var.kms_key_arn == "" ? true : null
  kms_master_key_id         = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                      = var.tags
}

module "dead_letter_access" {
  source = "../queue_access"
  count  = var.dead_letter ? 1 : 0

  queue_arn           = local.dead_letter_arn
  sender_arns         = var.dead_letter_sender_arns
  redrive_source_arns = [local.arn]
}

resource "aws_sqs_queue_policy" "dead_letter" {
  count = var.dead_letter ? 1 : 0

  queue_url = aws_sqs_queue.dead_letter[0].url
  policy    = module.dead_letter_access[0].policy
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  count = var.dead_letter ? 1 : 0

  queue_url            = aws_sqs_queue.dead_letter[0].url
  redrive_allow_policy = module.dead_letter_access[0].redrive_allow_policy
}
