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
  name        = "smelt-test-events"
  sender_arns = ["arn:aws:iam::123456789012:role/ingest"]
}

run "alone" {
  command = plan

  assert {
    condition     = aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "Messages must be encrypted."
  }

  assert {
    condition     = length(aws_sqs_queue.dead_letter) == 0
    error_message = "There must be no dead-letter queue unless it is asked for."
  }

  assert {
    condition     = length(coalesce(aws_sqs_queue.this.tags, {})) == 0
    error_message = "Queues must not be tagged by default: restricted accounts deny sqs:TagQueue."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_policy.this.policy).Statement[1].Condition.ArnNotLike["aws:PrincipalArn"] == ["arn:aws:iam::123456789012:role/ingest"]
    error_message = "Only the named senders may send."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_sqs_queue_policy.this.policy).Statement : statement.Resource == "arn:aws:sqs:us-east-2:123456789012:smelt-test-events"])
    error_message = "The policy must name the queue's ARN, known before it exists."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.this.redrive_allow_policy).redrivePermission == "denyAll"
    error_message = "No other queue may use it as its dead-letter queue."
  }
}

run "with_dead_letters" {
  command = apply # against the mock: the redrive policy holds the dead-letter queue's ARN

  variables {
    dead_letter                = true
    dead_letter_sender_arns    = ["arn:aws:iam::123456789012:role/transform"]
    visibility_timeout_seconds = 1800
  }

  assert {
    condition     = aws_sqs_queue.dead_letter[0].name == "smelt-test-events-dlq" && aws_sqs_queue.dead_letter[0].message_retention_seconds == 1209600
    error_message = "Dead letters must be kept for 14 days."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.this.redrive_policy).maxReceiveCount == 1000 && jsondecode(aws_sqs_queue.this.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letter[0].arn
    error_message = "SQS must move a message to the dead-letter queue only after 1000 receives."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letter[0].redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:us-east-2:123456789012:smelt-test-events"]
    error_message = "Only this queue may use the dead-letter queue."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_policy.dead_letter[0].policy).Statement[1].Condition.ArnNotLike["aws:PrincipalArn"] == ["arn:aws:iam::123456789012:role/transform"]
    error_message = "Only the named senders may send dead letters."
  }

  assert {
    condition     = alltrue([for policy in [aws_sqs_queue_policy.this.policy, aws_sqs_queue_policy.dead_letter[0].policy] : jsondecode(policy).Statement[0].Sid == "TlsOnly"])
    error_message = "Both queues must refuse what does not use TLS."
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

run "refuses_more_receives_than_sqs_counts" {
  command = plan

  variables {
    max_receive_count = 1001
  }

  expect_failures = [var.max_receive_count]
}

run "encrypts_with_a_key_if_given" {
  command = plan

  variables {
    dead_letter             = true
    dead_letter_sender_arns = ["arn:aws:iam::123456789012:role/transform"]
    kms_key_arn             = "arn:aws:kms:us-east-2:123456789012:key/ours"
  }

  assert {
    condition     = aws_sqs_queue.this.kms_master_key_id == "arn:aws:kms:us-east-2:123456789012:key/ours" && aws_sqs_queue.dead_letter[0].kms_master_key_id == "arn:aws:kms:us-east-2:123456789012:key/ours"
    error_message = "Both queues must be encrypted with the key."
  }
}
