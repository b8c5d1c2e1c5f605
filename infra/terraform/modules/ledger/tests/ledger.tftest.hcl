mock_provider "aws" {}

variables {
  name = "smelt-test-ledger"
}

run "is_protected_and_forgets_what_is_old" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "The ledger must be hard to lose."
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.this.ttl[0].attribute_name == "expires_at"
    error_message = "On demand, and with a TTL."
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
