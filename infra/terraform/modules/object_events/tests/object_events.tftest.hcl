mock_provider "aws" {}

variables {
  name                  = "smelt-test-objects"
  bucket_name           = "ours"
  account               = "123456789012"
  prefix                = "bronze/"
  function_name         = "smelt-test-ingest"
  function_arn          = "arn:aws:lambda:us-east-2:123456789012:function:smelt-test-ingest"
  undelivered_queue_arn = "arn:aws:sqs:us-east-2:123456789012:smelt-test-ingest-failures"
}

run "tells_of_new_objects_of_this_bucket_below_the_prefix" {
  command = plan

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.this.event_pattern) == {
      source        = ["aws.s3"]
      "detail-type" = ["Object Created"]
      account       = ["123456789012"]
      detail = {
        bucket = { name = ["ours"] }
        object = { key = [{ prefix = "bronze/" }] }
      }
    }
    error_message = "Only new objects of this bucket, of this account, below the prefix may match."
  }

  assert {
    condition     = aws_cloudwatch_event_target.this.dead_letter_config[0].arn == "arn:aws:sqs:us-east-2:123456789012:smelt-test-ingest-failures"
    error_message = "An event that cannot be delivered must be kept."
  }

  # AddPermission's source_account becomes a condition on aws:SourceAccount, which EventBridge does not send (EventBridge User
  # Guide, "My rule ran but my Lambda function wasn't invoked"): with it, no event would ever arrive.
  assert {
    condition     = aws_lambda_permission.this.principal == "events.amazonaws.com" && aws_lambda_permission.this.source_account == null
    error_message = "EventBridge must be let in by the rule's ARN alone, which names the account; it sends no source account."
  }
}

run "lets_in_the_rule_alone" {
  command = apply

  override_resource {
    target = aws_cloudwatch_event_rule.this
    values = { arn = "arn:aws:events:us-east-2:123456789012:rule/smelt-test-objects" }
  }

  assert {
    condition     = aws_lambda_permission.this.source_arn == "arn:aws:events:us-east-2:123456789012:rule/smelt-test-objects"
    error_message = "Only this rule may invoke the function."
  }
}

run "refuses_a_name_that_eventbridge_would_refuse" {
  command = plan

  variables {
    name = "smelt test"
  }

  expect_failures = [var.name]
}
