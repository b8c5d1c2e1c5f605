# The Bronze bucket: Terraform's own, which tells ingest of new objects itself; or one that exists already, of which nothing is
# changed: a rule of EventBridge tells ingest, beside whatever notifications the bucket has.

locals {
  bronze_arn       = "${local.arn}:s3:::${local.bronze_bucket}"
  bronze_rule      = "${var.project}-bronze-objects"
  bronze_rule_arns = var.create_bronze_bucket ? [] : ["${local.arn}:events:${local.region}:${local.account}:rule/${local.bronze_rule}"]
  bronze_key_arn   = var.create_bronze_bucket ? var.kms_key_arn : var.bronze_kms_key_arn
  announced_prefix = "bronze/"
}

module "bronze" {
  source = "../bucket"
  count  = var.create_bronze_bucket ? 1 : 0

  name            = local.bronze_bucket
  noncurrent_days = var.bronze_noncurrent_days
  kms_key_arn     = var.kms_key_arn
  tags            = local.tags
}

# Nothing is announced before everything that follows an announcement is there.

module "bronze_notification" {
  source = "../notification"
  count  = var.create_bronze_bucket ? 1 : 0

  bucket_name   = module.bronze[0].name
  bucket_arn    = module.bronze[0].arn
  account       = local.account
  prefix        = local.announced_prefix
  function_name = module.ingest.name
  function_arn  = module.ingest.arn
  eventbridge   = var.bronze_eventbridge_enabled

  depends_on = [module.ledger, module.transform_source]
}

module "bronze_events" {
  source = "../object_events"
  count  = var.create_bronze_bucket ? 0 : 1

  name                  = local.bronze_rule
  bucket_name           = local.bronze_bucket
  account               = local.account
  prefix                = local.announced_prefix
  function_name         = module.ingest.name
  function_arn          = module.ingest.arn
  undelivered_queue_arn = local.ingest_failures.arn
  tags                  = local.tags

  depends_on = [module.ledger, module.transform_source, module.ingest_failures]
}
