# The queues: units, their dead letters, and S3 events that ingest failed on; and who may send to each. Where queues are
# given, Terraform changes nothing about them: `queue_policies` then says which policies they should have.

locals {
  manages_queues = var.existing_queue_url == ""
  sqs            = "${local.arn}:sqs:${local.region}:${local.account}"

  queue = local.manages_queues ? {
    name = "${var.project}-events"
    url  = module.queue[0].url
    arn  = "${local.sqs}:${var.project}-events"
    } : {
    name = element(split(":", var.existing_queue_arn), 5)
    url  = var.existing_queue_url
    arn  = var.existing_queue_arn
  }
  dlq = local.manages_queues ? {
    name = "${var.project}-events-dlq"
    url  = module.queue[0].dead_letter_url
    arn  = "${local.sqs}:${var.project}-events-dlq"
    } : {
    name = try(element(split(":", var.existing_dlq_arn), 5), "")
    url  = var.existing_dlq_url
    arn  = var.existing_dlq_arn
  }

  ingest_failures = local.manages_queues ? {
    name        = "${var.project}-ingest-failures"
    url         = module.ingest_failures[0].url
    arn         = "${local.sqs}:${var.project}-ingest-failures"
    created_arn = module.ingest_failures[0].arn # the same, once it exists
    } : {
    name        = try(element(split(":", var.existing_ingest_failures_queue_arn), 5), "")
    url         = var.existing_ingest_failures_queue_url
    arn         = var.existing_ingest_failures_queue_arn
    created_arn = var.existing_ingest_failures_queue_arn
  }

  # Who may send to each queue. Lambda sends a failed event with ingest's role; moving dead letters back to the queue
  # (StartMessageMoveTask) sends as whoever starts it, so that is an operator's.
  senders = {
    queue           = concat([local.role_arns["ingest"]], var.unit_sender_arns, var.operator_principal_arns)
    dlq             = concat([local.role_arns["transform"]], var.operator_principal_arns)
    ingest_failures = [local.role_arns["ingest"]]
  }
}

module "queue" {
  source = "../queue"
  count  = local.manages_queues ? 1 : 0

  name                       = "${var.project}-events"
  sender_arns                = local.senders.queue
  visibility_timeout_seconds = 6 * var.transform_timeout_seconds + var.batching_window_seconds # a unit is hidden while a batch is gathered, too
  dead_letter                = true
  kms_key_arn                = var.kms_key_arn
  dead_letter_sender_arns    = local.senders.dlq
  max_receive_count          = var.max_receive_count
  max_message_bytes          = var.max_message_bytes
  tags                       = local.restricted_tags
}

module "ingest_failures" {
  source = "../queue"
  count  = local.manages_queues ? 1 : 0

  name              = "${var.project}-ingest-failures"
  sender_arns       = local.senders.ingest_failures
  sender_rule_arns  = local.bronze_rule_arns
  kms_key_arn       = var.kms_key_arn
  max_message_bytes = var.max_message_bytes
  tags              = local.restricted_tags
}

# What the existing queues should have. Terraform may not set it: they are somebody else's, and may have other statements.
module "existing_queue_access" {
  source = "../queue_access"
  for_each = local.manages_queues ? {} : {
    queue           = { arn = local.queue.arn, redrive_source_arns = [], sender_rule_arns = [] }
    dlq             = { arn = local.dlq.arn, redrive_source_arns = [local.queue.arn], sender_rule_arns = [] }
    ingest_failures = { arn = local.ingest_failures.arn, redrive_source_arns = [], sender_rule_arns = local.bronze_rule_arns }
  }

  queue_arn           = each.value.arn
  sender_arns         = local.senders[each.key]
  sender_rule_arns    = each.value.sender_rule_arns
  redrive_source_arns = each.value.redrive_source_arns
}

check "region_of_the_existing_queue" {
  assert {
    condition     = local.manages_queues || element(split(":", local.queue.arn), 3) == local.region
    error_message = "The queue in existing_queue_arn is in another region than the pipeline (${local.region}); Lambda reads queues of its own region only."
  }
}
