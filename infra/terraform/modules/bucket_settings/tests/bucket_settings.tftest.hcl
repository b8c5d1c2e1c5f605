mock_provider "aws" {}

variables {
  bucket     = "smelt-test-bronze"
  bucket_arn = "arn:aws:s3:::smelt-test-bronze"
}

run "is_private_versioned_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Public access must be blocked in all four ways."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "Messages name versions, so the bucket must keep them."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Objects must be encrypted."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "ACLs must be off."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this.rule) == 1
    error_message = "Nothing but leftovers may expire by default."
  }

  assert {
    condition     = one(aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration).noncurrent_days == 30
    error_message = "Old versions are kept for 30 days by default."
  }
}

run "refuses_what_does_not_come_by_tls" {
  command = apply # against the mock: the policy holds the bucket's ARN

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Effect == "Deny" && jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "The policy must deny everything that does not come by TLS."
  }
}

run "keeps_versions_for_ever" {
  command = plan

  variables {
    noncurrent_days = 0
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration) == 0
    error_message = "0 keeps old versions for ever."
  }
}

run "expires_a_prefix" {
  command = plan

  variables {
    expiration_days = { "quarantine/" = 90 }
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[1].filter[0].prefix == "quarantine/" && aws_s3_bucket_lifecycle_configuration.this.rule[1].expiration[0].days == 90
    error_message = "Objects under the prefix must expire after the given days."
  }
}

run "refuses_to_drop_versions_that_messages_may_still_name" {
  command = plan

  variables {
    noncurrent_days = 14
  }

  expect_failures = [var.noncurrent_days]
}

run "encrypts_with_a_key_if_given" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/ours"
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:us-east-2:123456789012:key/ours"
    error_message = "New objects must be encrypted with the key."
  }
}
