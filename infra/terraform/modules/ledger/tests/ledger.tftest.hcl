mock_provider "aws" {}

variables {
  name = "smelt-test-ledger"
}

run "is_protected_and_lets_items_expire" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "The ledger must be hard to lose."
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.this.ttl[0].attribute_name == "expires_at"
    error_message = "The table must be billed on demand and have a TTL."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.global_secondary_index).hash_key == "open" && one(aws_dynamodb_table.this.global_secondary_index).range_key == "since"
    error_message = "The index of open work must be read by shard, oldest work first."
  }
}

run "may_be_deleted_where_that_is_said" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = !aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "deletion_protection must reach the table."
  }
}

run "encrypts_with_a_key_if_given" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/ours"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == "arn:aws:kms:us-east-2:123456789012:key/ours"
    error_message = "The table must be encrypted with the key."
  }
}
