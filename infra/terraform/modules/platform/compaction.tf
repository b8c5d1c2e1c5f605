# The compaction job. It exists once `make glue-assets` has uploaded what it runs.
locals {
  glue_assets = var.compaction.assets
  has_job     = var.compaction.enabled && local.glue_assets != null
  silver_arn  = module.pipeline.arns.silver_bucket

  # What it writes besides the default; each is a folder of the Silver bucket.
  compaction_roots = distinct(concat(["silver_compacted"], var.compaction.output_prefixes))
}

module "compaction" {
  source = "../glue_job"
  count  = local.has_job ? 1 : 0

  project                  = var.project
  name                     = "compact"
  job_name                 = coalesce(var.compaction.job_name, "${var.project}-compact-silver")
  description              = "Compacts one partition of Silver as a plan says, or judges it again from Bronze."
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  kms_key_arn              = var.kms_key_arn

  artifacts_bucket = module.artifacts[0].name
  script_key       = coalesce(var.compaction.script_key, local.glue_assets.compact_silver)
  core_key         = local.glue_assets.core
  wheels_key       = local.glue_assets.wheels
  worker_type      = var.compaction.worker_type
  workers          = var.compaction.workers
  timeout_minutes  = var.compaction.timeout_minutes

  statements = merge({
    ReadRows = {
      actions   = ["s3:GetObject"]
      resources = [for root in concat(["silver", "quarantine"], local.compaction_roots) : "${local.silver_arn}/${root}/*"]
    }
    # A missing file is told apart from one that may not be read.
    ListRows = {
      actions   = ["s3:ListBucket"]
      resources = [local.silver_arn]
      condition = { StringLike = { "s3:prefix" = [for root in concat(["silver", "quarantine"], local.compaction_roots) : "${root}/*"] } }
    }
    WriteRuns = {
      actions   = ["s3:PutObject"]
      resources = [for root in local.compaction_roots : "${local.silver_arn}/${root}/*"]
    }
    ReadBronze = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${module.pipeline.arns.bronze_bucket}/bronze/*"]
    }
    # S3 calls an object that is gone forbidden, unless a listing shows that it is: else one such object ends a recompute.
    ListBronze = {
      actions   = ["s3:ListBucket"]
      resources = [module.pipeline.arns.bronze_bucket]
      condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
    }
  }, module.compaction_key_use.statements)
}

# Bronze's key, where it is another one than that of the buckets, which the job's module lets it use.
module "compaction_key_use" {
  source = "../key_use"

  uses = {
    UseKeyOfBronze = {
      keys     = [for key in [module.pipeline.bronze_key_arn] : key if key != var.kms_key_arn]
      services = ["s3"]
      actions  = ["kms:Decrypt"]
    }
  }
}
