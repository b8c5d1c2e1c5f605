# The table of objects, units and lots. Its keys are those of TABLE_SCHEMA in services/shared/ledger; a test compares them.

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_dynamodb_table
}

resource "aws_dynamodb_table" "this" {
  # checkov:skip=CKV_AWS_119: encrypted with a key of AWS unless kms_key_arn is given; the ledger holds names, counts and positions, never rows
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "open"
    type = "S"
  }

  attribute {
    name = "since"
    type = "N"
  }

  # Sparse: only unfinished work carries `open`. Its values are sharded, such as `object#07`, so that no partition of the
  # index takes all writes: an index that is throttled throttles the table.
  global_secondary_index {
    name            = "open_work"
    hash_key        = "open"
    range_key       = "since"
    projection_type = "KEYS_ONLY"
  }

  # Only what the history holds ever gets `expires_at`.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == "" ? [] : [var.kms_key_arn]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}
