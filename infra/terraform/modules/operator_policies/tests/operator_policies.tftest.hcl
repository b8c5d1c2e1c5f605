mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-2" }
  }
}

variables {
  project             = "smelt-test"
  ingest_function_arn = "arn:aws:lambda:us-east-2:123456789012:function:smelt-test-ingest"
  arns = {
    bronze_bucket         = "arn:aws:s3:::bronze"
    silver_bucket         = "arn:aws:s3:::silver"
    ledger_table          = "arn:aws:dynamodb:us-east-2:123456789012:table/ledger"
    queue                 = "arn:aws:sqs:us-east-2:123456789012:events"
    dlq                   = "arn:aws:sqs:us-east-2:123456789012:events-dlq"
    ingest_failures_queue = "arn:aws:sqs:us-east-2:123456789012:failures"
  }
}

run "makes_four_policies_without_wildcards" {
  command = plan

  assert {
    condition     = toset([for policy in aws_iam_policy.this : policy.name]) == toset([for name in ["read", "redrive", "replay", "retract"] : "smelt-test-operator-${name}"])
    error_message = "There must be one policy for each kind of work."
  }

  assert {
    condition = alltrue(flatten([for policy in aws_iam_policy.this : [
      for statement in jsondecode(policy.policy).Statement : !contains(statement.Resource, "*") && alltrue([for action in statement.Action : !strcontains(action, "*")])
    ]]))
    error_message = "Each action and each resource must be named."
  }
}

run "names_no_queue_that_is_not_given" {
  command = plan

  variables {
    arns = {
      bronze_bucket         = "arn:aws:s3:::bronze"
      silver_bucket         = "arn:aws:s3:::silver"
      ledger_table          = "arn:aws:dynamodb:us-east-2:123456789012:table/ledger"
      queue                 = "arn:aws:sqs:us-east-2:123456789012:events"
      dlq                   = ""
      ingest_failures_queue = ""
    }
  }

  assert {
    condition     = alltrue(flatten([for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : length(statement.Resource) > 0 && !contains(statement.Resource, "")]]))
    error_message = "A statement without a resource is not a policy."
  }
}

run "lets_keys_be_used_through_the_services_only" {
  command = plan

  variables {
    kms_key_arns = ["arn:aws:kms:us-east-2:123456789012:key/1"]
  }

  assert {
    condition = alltrue([for policy in aws_iam_policy.this : anytrue([
      for statement in jsondecode(policy.policy).Statement :
      statement.Sid == "UseKeys" && try(statement.Condition.StringEquals["kms:ViaService"], []) == ["dynamodb.us-east-2.amazonaws.com", "s3.us-east-2.amazonaws.com", "sqs.us-east-2.amazonaws.com"]
    ])])
    error_message = "A key must be usable only through DynamoDB, S3 and SQS."
  }
}
