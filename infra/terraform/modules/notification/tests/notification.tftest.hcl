mock_provider "aws" {}

variables {
  bucket_name   = "smelt-test-bronze"
  bucket_arn    = "arn:aws:s3:::smelt-test-bronze"
  account       = "123456789012"
  prefix        = "bronze/"
  function_name = "smelt-test-ingest"
  function_arn  = "arn:aws:lambda:us-east-2:123456789012:function:smelt-test-ingest"
}

run "tells_the_function_of_new_objects_and_nobody_else" {
  command = plan

  assert {
    condition     = aws_s3_bucket_notification.this.eventbridge == false
    error_message = "EventBridge is told only if asked."
  }

  assert {
    condition     = one(aws_s3_bucket_notification.this.lambda_function).filter_prefix == "bronze/" && one(aws_s3_bucket_notification.this.lambda_function).events == toset(["s3:ObjectCreated:*"])
    error_message = "Every way of creating an object below the prefix must be announced."
  }

  assert {
    condition     = aws_lambda_permission.this.source_arn == "arn:aws:s3:::smelt-test-bronze" && aws_lambda_permission.this.source_account == "123456789012"
    error_message = "Only this bucket of this account may invoke the function."
  }
}

run "tells_eventbridge_too_if_asked" {
  command = plan

  variables {
    eventbridge = true
  }

  assert {
    condition     = aws_s3_bucket_notification.this.eventbridge == true && length(aws_s3_bucket_notification.this.lambda_function) == 1
    error_message = "EventBridge must be told besides the function."
  }
}
