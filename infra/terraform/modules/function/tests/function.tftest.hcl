mock_provider "aws" {
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "123456789012" }
  }
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws" }
  }
  override_data {
    target = data.aws_region.current
    values = { name = "us-east-2" }
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
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[0].Resource == ["arn:aws:logs:us-east-2:123456789012:log-group:/aws/lambda/smelt-test-ingest:log-stream:*"]
    error_message = "The role must allow its own log streams only."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role_policy.this.policy).Statement) == 2
    error_message = "Without statements of its own a role allows logs and traces, nothing else."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0 && length(coalesce(aws_iam_role.this.tags, {})) == 0
    error_message = "No failure destination and no role tags unless they are asked for."
  }
}

run "allows_what_it_is_told_under_its_condition" {
  command = plan

  variables {
    statements = {
      ReadSome = {
        actions   = ["s3:ListBucket"]
        resources = ["arn:aws:s3:::smelt-test-bronze"]
        condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
      }
      ReadAll = {
        actions   = ["s3:GetObject"]
        resources = ["arn:aws:s3:::smelt-test-bronze/*"]
      }
    }
  }

  assert {
    condition = [for statement in slice(jsondecode(aws_iam_role_policy.this.policy).Statement, 2, 4) : lookup(statement, "Condition", null)] == [
      null,
      { StringLike = { "s3:prefix" = ["bronze/*"] } },
    ]
    error_message = "A statement's condition must reach the role, and only its own."
  }
}

run "without_tracing_may_not_trace" {
  command = plan

  variables {
    tracing_enabled = false
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "PassThrough" && !strcontains(aws_iam_role_policy.this.policy, "xray")
    error_message = "Without tracing the role has no business with X-Ray."
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
    iam_name_prefix          = "team-a-"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.this.name == "team-a-smelt-test-ingest" && aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "The role must carry the prefix and the boundary."
  }
}

run "refuses_a_tag_for_an_image" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt/ingest:latest"
  }

  expect_failures = [var.image_uri]
}

run "refuses_wildcards" {
  command = plan

  variables {
    statements = { All = { actions = ["s3:*"], resources = ["arn:aws:s3:::bucket/*"] } }
  }

  expect_failures = [var.statements]
}

run "refuses_a_role_name_that_is_too_long" {
  command = plan

  variables {
    name            = "smelt-test-a-function-with-a-rather-long-name-for-iam"
    iam_name_prefix = "a-prefix-of-the-account-"
  }

  expect_failures = [aws_iam_role.this]
}

run "refuses_a_retention_that_cloudwatch_does_not_know" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}
