# Queues made beforehand: what is used of them, and what is refused before anything exists.

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
  project = "smelt-test"
  images = {
    ingest    = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ingest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    transform = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/transform@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  }
}

run "existing_queues" {
  command = plan

  variables {
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    observability_enabled              = true
  }

  assert {
    condition     = length(module.queue) == 0 && length(module.ingest_failures) == 0
    error_message = "With an existing queue Terraform manages no queue."
  }

  assert {
    condition     = output.queue_url == "https://sqs.us-east-2.amazonaws.com/123456789012/mine" && output.dlq_url == "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    error_message = "The outputs must name the existing queues."
  }

  assert {
    condition     = local.queue.name == "mine" && local.dlq.name == "mine-dlq" && local.ingest_failures.name == "mine-ingest-failures"
    error_message = "Alarms must watch the existing queues."
  }

  assert {
    condition     = keys(output.queue_policies) == ["dlq", "ingest_failures", "queue"]
    error_message = "The policies that the existing queues should have must be given."
  }

  assert {
    condition     = jsondecode(jsondecode(output.queue_policies["dlq"]).RedriveAllowPolicy).sourceQueueArns == ["arn:aws:sqs:us-east-2:123456789012:mine"]
    error_message = "Only the existing queue may use the existing dead-letter queue."
  }
}

run "refuses_an_existing_queue_without_a_queue_for_failed_events" {
  command = plan

  variables {
    existing_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
  }

  expect_failures = [var.existing_ingest_failures_queue_url]
}

run "refuses_failed_events_in_the_dead_letter_queue" {
  command = plan

  variables {
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
  }

  expect_failures = [var.existing_ingest_failures_queue_arn]
}

run "refuses_an_existing_queue_without_a_dead_letter_queue" {
  command = plan

  variables {
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
  }

  expect_failures = [var.existing_dlq_url]
}

run "refuses_a_queue_as_its_own_dead_letter_queue" {
  command = plan

  variables {
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine"
  }

  expect_failures = [var.existing_dlq_arn]
}

run "refuses_failed_events_in_the_queue_of_units" {
  command = plan

  variables {
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine"
  }

  expect_failures = [var.existing_ingest_failures_queue_arn]
}

run "existing_queue_elsewhere_warns" {
  command = plan

  variables {
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    existing_queue_url                 = "https://sqs.eu-west-1.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:eu-west-1:123456789012:mine"
    existing_dlq_url                   = "https://sqs.eu-west-1.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:eu-west-1:123456789012:mine-dlq"
  }

  expect_failures = [check.region_of_the_existing_queue]
}

run "refuses_half_an_existing_queue" {
  command = plan

  variables {
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
  }

  expect_failures = [var.existing_queue_url, var.existing_ingest_failures_queue_arn]
}

run "refuses_an_existing_dead_letter_queue_without_its_queue" {
  command = plan

  variables {
    existing_dlq_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
  }

  expect_failures = [var.existing_dlq_url]
}

run "refuses_an_arn_that_is_no_queue" {
  command = plan

  variables {
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sns:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
  }

  expect_failures = [var.existing_queue_arn]
}
