# Where and how queries run: a workgroup whose settings nobody can override, with a limit of what a query may read; its
# results, encrypted, in a bucket of their own from which they expire; and the documented queries.

locals {
  queries_dir = coalesce(var.queries_dir, "${path.module}/../../../../sql/athena")

  # A query's name -> its SQL. The first line is a comment: what it answers.
  queries = { for file in fileset(local.queries_dir, "*.sql") : trimsuffix(file, ".sql") => file("${local.queries_dir}/${file}") }

  results_bucket = "${var.project}-athena-${local.account}-${local.region}"
}

module "results" {
  source = "../bucket"

  name            = local.results_bucket
  kms_key_arn     = var.kms_key_arn
  noncurrent_days = 15 # the least that a bucket takes: so long an expired result can still be had back
  expiration_days = { "results/" = var.results_days }
  tags            = var.tags
}

resource "aws_athena_workgroup" "this" {
  # checkov:skip=CKV_AWS_159: encrypted with SSE-S3, or your key (kms_key_arn)
  name          = var.project
  description   = "Queries over what ${var.project} has loaded, each up to ${floor(var.scan_limit_bytes / 1048576)} MB."
  force_destroy = true # its saved queries and its history go with it
  tags          = var.tags

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_bytes

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location       = "s3://${module.results.name}/results/"
      expected_bucket_owner = local.account

      encryption_configuration {
        encryption_option = var.kms_key_arn == "" ? "SSE_S3" : "SSE_KMS"
        kms_key_arn       = var.kms_key_arn == "" ? null : var.kms_key_arn
      }
    }
  }
}

resource "aws_athena_named_query" "this" {
  for_each = local.queries

  name        = each.key
  description = trimprefix(split("\n", each.value)[0], "-- ")
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = each.value
}
