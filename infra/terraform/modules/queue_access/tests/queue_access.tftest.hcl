# What the policies say. What they do to requests is evaluated in tests/integration/test_queue_policies.py.

mock_provider "aws" {}

variables {
  queue_arn   = "arn:aws:sqs:us-east-2:123456789012:units"
  sender_arns = ["arn:aws:iam::123456789012:role/ingest", "arn:aws:iam::123456789012:role/on-call/*"]
}

run "denies_sending_to_everybody_else" {
  command = plan

  assert {
    condition = jsondecode(output.policy).Statement == [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:us-east-2:123456789012:units"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyTheseSend"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:us-east-2:123456789012:units"
        Condition = { ArnNotLike = { "aws:PrincipalArn" = ["arn:aws:iam::123456789012:role/ingest", "arn:aws:iam::123456789012:role/on-call/*"] } }
      },
    ]
    error_message = "The policy must deny what does not use TLS, and sending by everybody who is not named."
  }
}

run "no_queue_may_use_it_as_its_dead_letter_queue" {
  command = plan

  assert {
    condition     = jsondecode(output.redrive_allow_policy) == { redrivePermission = "denyAll" }
    error_message = "SQS would move messages into it for anybody who can create a queue."
  }
}

run "a_dead_letter_queue_takes_what_sqs_moves" {
  command = plan

  variables {
    redrive_source_arns = ["arn:aws:sqs:us-east-2:123456789012:source"]
  }

  assert {
    condition     = jsondecode(output.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = ["arn:aws:sqs:us-east-2:123456789012:source"] }
    error_message = "Only the named queue may use it as its dead-letter queue."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[1].Condition.BoolIfExists["aws:PrincipalIsAWSService"] == "false"
    error_message = "SQS itself must not be refused."
  }
}

run "refuses_to_lock_everybody_out" {
  command = plan

  variables {
    sender_arns = []
  }

  expect_failures = [var.sender_arns]
}

run "a_rule_may_send_what_it_could_not_deliver" {
  command = plan

  variables {
    sender_rule_arns = ["arn:aws:events:us-east-2:123456789012:rule/mine"]
  }

  assert {
    condition     = jsondecode(output.policy).Statement[1].Condition.ArnNotLike["aws:SourceArn"] == ["arn:aws:events:us-east-2:123456789012:rule/mine"]
    error_message = "The rule must not be denied."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[2].Principal.Service == "events.amazonaws.com" && jsondecode(output.policy).Statement[2].Condition.ArnEquals["aws:SourceArn"] == ["arn:aws:events:us-east-2:123456789012:rule/mine"]
    error_message = "EventBridge must be allowed for this rule only."
  }
}

run "takes_as_many_senders_as_sqs_takes" {
  command = plan

  variables {
    queue_arn   = "arn:aws:sqs:us-east-2:123456789012:smelt-test-events"
    sender_arns = [for number in range(60) : format("arn:aws:iam::123456789012:role/teams/data/operator-of-the-pipeline-%03d", number)]
  }
}

run "refuses_a_policy_that_sqs_would_refuse" {
  command = plan

  variables {
    queue_arn   = "arn:aws:sqs:us-east-2:123456789012:smelt-test-events"
    sender_arns = [for number in range(120) : format("arn:aws:iam::123456789012:role/teams/data/operator-of-the-pipeline-%03d", number)]
  }

  expect_failures = [output.policy]
}
