# A private bucket; modules/bucket_settings says what that means.

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_s3_bucket
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18: access logs need a bucket of the account; CloudTrail data events serve the same without one
  # checkov:skip=CKV_AWS_144: replication to another region is the decision of whoever owns the data
  # checkov:skip=CKV_AWS_145: SSE-S3 unless kms_key_arn is given: a key of your own has to be granted to every reader
  # checkov:skip=CKV_AWS_21: modules/bucket_settings does it, and tests/ shows it; below a module with count checkov does not see that
  # checkov:skip=CKV2_AWS_6: the same
  # checkov:skip=CKV2_AWS_61: the same
  # checkov:skip=CKV2_AWS_62: the notification module announces what has to be announced
  bucket = var.name
  tags   = var.tags
}

module "settings" {
  source = "../bucket_settings"

  bucket                 = aws_s3_bucket.this.id
  bucket_arn             = aws_s3_bucket.this.arn
  noncurrent_days        = var.noncurrent_days
  incomplete_upload_days = var.incomplete_upload_days
  expiration_days        = var.expiration_days
  kms_key_arn            = var.kms_key_arn
}
