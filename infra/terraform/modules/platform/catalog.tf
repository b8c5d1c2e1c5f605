# The Glue database with its tables, the crawler, and Athena's workgroup.
module "catalog" {
  source = "../catalog"
  count  = var.catalog.enabled ? 1 : 0

  project                  = var.project
  tags                     = module.pipeline.tags
  restricted_tags          = module.pipeline.restricted_tags
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn

  silver_bucket     = module.pipeline.silver_bucket
  silver_bucket_arn = module.pipeline.arns.silver_bucket
  kms_key_arn       = var.kms_key_arn

  contracts_dir          = var.catalog.contracts_dir
  queries_dir            = var.catalog.queries_dir
  left_out_datasets      = var.catalog.left_out_datasets
  first_day              = var.catalog.first_day
  first_load_day         = var.catalog.first_load_day
  silver_prefix          = var.catalog.silver_prefix
  table_prefix           = var.catalog.table_prefix
  scan_limit_bytes       = var.catalog.scan_limit_bytes
  results_days           = var.catalog.results_days
  analyst_policy_enabled = var.catalog.analyst_policy_enabled
}
