mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-2" }
  }
}

variables {
  uses = {
    Write = {
      keys     = ["arn:aws:kms:us-east-2:123456789012:key/ours", ""]
      actions  = ["kms:Decrypt", "kms:GenerateDataKey"]
      services = ["dynamodb", "s3"]
    }
    None = { keys = [""], actions = ["kms:Decrypt"], services = ["sqs"] }
  }
}

run "allows_a_key_only_through_the_services_that_are_called" {
  command = plan

  assert {
    condition = jsonencode(output.statements) == jsonencode({
      Write = {
        actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
        resources = ["arn:aws:kms:us-east-2:123456789012:key/ours"]
        condition = { StringEquals = { "kms:ViaService" = ["dynamodb.us-east-2.amazonaws.com", "s3.us-east-2.amazonaws.com"] } }
      }
    })
    error_message = "One value for each service; no statement without a key."
  }
}

run "knows_how_services_are_called_in_china" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }
  override_data {
    target = data.aws_region.current
    values = { name = "cn-north-1" }
  }

  assert {
    condition = output.statements.Write.condition.StringEquals["kms:ViaService"] == [
      "dynamodb.cn-north-1.amazonaws.com", "dynamodb.cn-north-1.amazonaws.com.cn",
      "s3.cn-north-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn",
    ]
    error_message = "Services in China may name themselves by the suffix of China."
  }
}
