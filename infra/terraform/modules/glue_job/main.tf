# A PySpark job on AWS Glue 5.1: what it runs comes from the artifacts bucket, by revision; it installs nothing from an index.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  here      = "${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
  arn       = "arn:${data.aws_partition.current.partition}"
  artifacts = "s3://${var.artifacts_bucket}"
  has_key   = var.kms_key_arn != ""

  # Folders of the artifacts bucket that the job reads: its script's, and where `make glue-assets` puts the rest.
  read = distinct([dirname(var.script_key), dirname(var.core_key), dirname(var.wheels_key), "${var.temp_prefix}/${var.name}"])

  logs = "${local.arn}:logs:${local.here}:log-group:/aws-glue/*"
}

module "role" {
  source = "../role"

  name                     = "${var.project}-${var.name}"
  description              = "What the Glue job ${var.job_name} may do."
  service                  = "glue.amazonaws.com"
  from_this_account_only   = false # nothing says that Glue sends aws:SourceAccount; IAM passes no role to another account
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = merge(var.statements, {
    ReadArtifacts = {
      actions   = ["s3:GetObject"]
      resources = [for folder in local.read : "${local.arn}:s3:::${var.artifacts_bucket}/${folder}/*"]
    }
    ListArtifacts = {
      actions   = ["s3:ListBucket"]
      resources = ["${local.arn}:s3:::${var.artifacts_bucket}"]
      condition = { StringLike = { "s3:prefix" = [for folder in local.read : "${folder}/*"] } }
    }
    WriteTemporary = {
      actions   = ["s3:DeleteObject", "s3:PutObject"]
      resources = ["${local.arn}:s3:::${var.artifacts_bucket}/${var.temp_prefix}/${var.name}/*"]
    }
    WriteLogs = {
      actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
      resources = [local.logs, "${local.logs}:*"]
    }
  }, module.key_use.statements)
}

module "key_use" {
  source = "../key_use"

  uses = { UseKey = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] } }
}

# What Glue itself writes to S3 for the job. Logs keep AWS's key, as those of the functions: with ours, its policy would have to
# name CloudWatch Logs, which it does not by default, and each run would fail. There are no bookmarks.
resource "aws_glue_security_configuration" "this" {
  # checkov:skip=CKV_AWS_99: see above
  count = local.has_key ? 1 : 0
  name  = var.job_name

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "DISABLED"
    }
    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "DISABLED"
    }
    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }
  }
}

resource "aws_glue_job" "this" {
  # checkov:skip=CKV_AWS_195: without a key of one's own, AWS's keys encrypt all of it
  name                   = var.job_name
  description            = var.description
  role_arn               = module.role.arn
  glue_version           = "5.1"
  worker_type            = var.worker_type
  number_of_workers      = var.workers
  timeout                = var.timeout_minutes
  max_retries            = 0 # whoever started it looks what has been done, and starts it again
  security_configuration = one(aws_glue_security_configuration.this[*].name)
  tags                   = var.tags

  command {
    name            = "glueetl"
    python_version  = "3"
    script_location = "${local.artifacts}/${var.script_key}"
  }

  execution_property {
    max_concurrent_runs = var.concurrent_runs
  }

  default_arguments = merge({
    "--additional-python-modules"        = "${local.artifacts}/${var.wheels_key}"
    "--enable-auto-scaling"              = "true"
    "--enable-continuous-cloudwatch-log" = "true"
    "--extra-py-files"                   = "${local.artifacts}/${var.core_key}"
    "--job-bookmark-option"              = "job-bookmark-disable"
    "--job-language"                     = "python"
    "--python-modules-installer-option"  = "--no-index"
    "--runtime"                          = "glue"
    "--TempDir"                          = "${local.artifacts}/${var.temp_prefix}/${var.name}/"
  }, var.arguments)

  lifecycle {
    ignore_changes = [execution_property] # AWS answers with more than was set: a difference in every plan
  }
}
