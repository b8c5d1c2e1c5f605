mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-2" }
  }
}

variables {
  name            = "smelt-test-ingest"
  description     = "A function."
  image_uri       = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt/ingest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  memory_mb       = 512
  timeout_seconds = 60
}

run "has_its_own_logs_and_role" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/smelt-test-ingest" && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "Logs must be kept for 30 days, in the function's own group."
  }

  assert {
    condition     = local.logs.OwnLogs.resources == ["arn:aws:logs:us-east-2:123456789012:log-group:/aws/lambda/smelt-test-ingest:log-stream:*"]
    error_message = "The role must allow its own log streams only."
  }

  assert {
    condition     = output.role_name == "smelt-test-ingest" && output.role_arn == "arn:aws:iam::123456789012:role/smelt-test-ingest"
    error_message = "The role must be named after the function."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0
    error_message = "No failure destination unless it is asked for."
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].log_format == "JSON" && aws_lambda_function.this.logging_config[0].application_log_level == "INFO" && aws_lambda_function.this.logging_config[0].system_log_level == "INFO"
    error_message = "Logs must be JSON and tell what is normal, unless asked otherwise."
  }
}

run "logs_as_much_as_it_is_told" {
  command = plan

  variables {
    application_log_level = "DEBUG"
    system_log_level      = "WARN"
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].application_log_level == "DEBUG" && aws_lambda_function.this.logging_config[0].system_log_level == "WARN"
    error_message = "Lambda itself must be told the levels: it filters logs in JSON."
  }
}

run "refuses_a_level_that_lambda_does_not_know" {
  command = plan

  variables {
    application_log_level = "WARNING"
  }

  expect_failures = [var.application_log_level]
}

run "refuses_a_system_level_that_lambda_does_not_know" {
  command = plan

  variables {
    system_log_level = "ERROR"
  }

  expect_failures = [var.system_log_level]
}

run "without_tracing_may_not_trace" {
  command = plan

  variables {
    tracing_enabled = false
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "PassThrough"
    error_message = "Without tracing Lambda must not trace."
  }
}

run "hands_failed_events_over" {
  command = plan

  variables {
    on_failure = { queue_arn = "arn:aws:sqs:us-east-2:123456789012:failures" }
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_failure[0].destination == "arn:aws:sqs:us-east-2:123456789012:failures"
    error_message = "An event that failed three times must go to the queue."
  }
}

run "prefixes_its_role" {
  command = plan

  variables {
    iam_name_prefix = "team-a-"
  }

  assert {
    condition     = output.role_name == "team-a-smelt-test-ingest" && output.role_arn == "arn:aws:iam::123456789012:role/team-a-smelt-test-ingest"
    error_message = "The role must carry the prefix."
  }
}

run "refuses_a_name_that_lambda_would_refuse" {
  command = plan

  variables {
    name = "smelt.ingest"
  }

  expect_failures = [var.name]
}

run "refuses_a_tag_for_an_image" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt/ingest:latest"
  }

  expect_failures = [var.image_uri]
}

run "refuses_a_retention_that_cloudwatch_does_not_know" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}
