mock_provider "aws" {}

variables {
  queue_arn    = "arn:aws:sqs:us-east-2:123456789012:smelt-test-events"
  function_arn = "arn:aws:lambda:us-east-2:123456789012:function:smelt-test-transform"
}

run "reports_failures_by_message" {
  command = plan

  assert {
    condition     = aws_lambda_event_source_mapping.this.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "Without it one bad message would send the whole batch back."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 10
    error_message = "Concurrency must be limited by default."
  }
}

run "limits_concurrency" {
  command = plan

  variables {
    maximum_concurrency = 2
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 2
    error_message = "The limit must reach the mapping."
  }
}

run "refuses_large_batches_without_a_window" {
  command = plan

  variables {
    batching_window_seconds = 0
  }

  expect_failures = [var.batching_window_seconds]
}

run "refuses_a_concurrency_of_one" {
  command = plan

  variables {
    maximum_concurrency = 1
  }

  expect_failures = [var.maximum_concurrency]
}
