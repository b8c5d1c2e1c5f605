# The bucket of Terraform's own state, and nothing else. A root of its own, so that no other command can change or destroy
# it: `make tf-bootstrap STATE_BUCKET=<name>` applies it, in a workspace that is named after the bucket; its state is a local
# file.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == "" ? null : [var.account_id]
  # Only an emulator needs the bucket's name in the path.
  s3_use_path_style = var.s3_path_style
}

locals {
  # As in modules/pipeline.
  own_tags = { for key, value in { project = var.project } : key => value if !contains([for given in keys(var.tags) : lower(given)], key) }

  limits = jsondecode(file("${path.module}/../names.json")).aws_s3_bucket
}

resource "aws_s3_bucket" "state" {
  # checkov:skip=CKV_AWS_18: access logs need a bucket of the account; CloudTrail data events serve the same without one
  # checkov:skip=CKV_AWS_19: modules/bucket_settings encrypts it
  # checkov:skip=CKV_AWS_144: versions protect the state; another region is the decision of whoever owns the account
  # checkov:skip=CKV_AWS_145: encrypted with SSE-S3; the state holds names and no secrets
  # checkov:skip=CKV2_AWS_62: nobody has to be told of a new state
  bucket = var.state_bucket
  tags   = merge(local.own_tags, var.tags)

  # Whoever loses the state can no longer change or destroy anything with Terraform.
  lifecycle {
    prevent_destroy = true
  }
}

module "settings" {
  source = "../modules/bucket_settings"

  bucket          = aws_s3_bucket.state.id
  bucket_arn      = aws_s3_bucket.state.arn
  noncurrent_days = 90
}
