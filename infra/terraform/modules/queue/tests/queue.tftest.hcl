mock_provider "aws" {}

variables {
  name = "smelt-test-events"
}

run "alone" {
  command = plan

  assert {
    condition     = aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "Messages must be encrypted."
  }

  assert {
    condition     = length(aws_sqs_queue.dead_letter) == 0
    error_message = "No dead-letter queue unless it is asked for."
  }

  assert {
    condition     = length(coalesce(aws_sqs_queue.this.tags, {})) == 0
    error_message = "Queues are not tagged by default: restricted accounts deny sqs:TagQueue."
  }
}

run "with_dead_letters" {
  command = apply # against the mock: the redrive policy holds the queue's ARN

  variables {
    dead_letter                = true
    visibility_timeout_seconds = 1800
  }

  assert {
    condition     = aws_sqs_queue.dead_letter[0].name == "smelt-test-events-dlq" && aws_sqs_queue.dead_letter[0].message_retention_seconds == 1209600
    error_message = "Dead letters must be kept for 14 days."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.this.redrive_policy).maxReceiveCount == 5 && jsondecode(aws_sqs_queue.this.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letter[0].arn
    error_message = "After five tries a message must go to the dead-letter queue."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letter[0].redrive_allow_policy).sourceQueueArns == [aws_sqs_queue.this.arn]
    error_message = "Only this queue may use the dead-letter queue."
  }

  assert {
    condition     = alltrue([for policy in [aws_sqs_queue_policy.this.policy, aws_sqs_queue_policy.dead_letter[0].policy] : jsondecode(policy).Statement[0].Effect == "Deny"])
    error_message = "Both queues must refuse what does not come by TLS."
  }
}

run "refuses_a_name_that_leaves_no_room" {
  command = plan

  variables {
    name = "a2345678901234567890123456789012345678901234567890123456789012345678901234567"
  }

  expect_failures = [var.name]
}

run "refuses_a_visibility_timeout_over_twelve_hours" {
  command = plan

  variables {
    visibility_timeout_seconds = 43201
  }

  expect_failures = [var.visibility_timeout_seconds]
}
