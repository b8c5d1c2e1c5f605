# A Bronze bucket that exists, and keys of one's own: what is created, and what is refused before anything exists.

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

run "a_bronze_bucket_that_exists" {
  command = plan

  variables {
    create_bronze_bucket = false
    bronze_bucket_name   = "ours.raw"
    bronze_kms_key_arn   = "arn:aws:kms:us-east-2:123456789012:key/bronze"
  }

  assert {
    condition     = length(module.bronze) == 0 && length(module.bronze_notification) == 0 && length(module.bronze_events) == 1
    error_message = "Nothing of the bucket may be managed; EventBridge tells ingest."
  }

  assert {
    condition     = output.managed_buckets == ["smelt-test-silver-123456789012-us-east-2"]
    error_message = "The bucket must never be emptied: it is somebody else's."
  }

  assert {
    condition     = output.bronze_bucket == "ours.raw" && output.arns.bronze_bucket == "arn:aws:s3:::ours.raw"
    error_message = "The bucket must be named in the outputs."
  }

  assert {
    condition     = keys(local.use_key.ingest) == [] && keys(local.use_key.transform) == ["UseKeyOfBronze"]
    error_message = "Only transform reads the bucket, and only its key is used."
  }

  assert {
    condition     = one(local.bronze_rule_arns) == "arn:aws:events:us-east-2:123456789012:rule/smelt-test-bronze-objects"
    error_message = "The rule may send events that it could not deliver."
  }
}

run "a_key_for_everything" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/all"
  }

  assert {
    condition     = keys(local.use_key.ingest) == ["UseKeyOfLedger", "UseKeyOfQueues"] && keys(local.use_key.transform) == ["UseKeyOfBronze", "UseKeyOfLedger", "UseKeyOfQueues", "UseKeyOfSilver"]
    error_message = "Each role may use the key for what it does, and nothing else."
  }

  assert {
    condition     = local.use_key.transform.UseKeyOfBronze.condition == { StringEquals = { "kms:ViaService" = ["s3.us-east-2.amazonaws.com"] } }
    error_message = "A key may be used through the service only."
  }
}

run "refuses_a_missing_name_of_a_bucket_that_exists" {
  command = plan

  variables {
    create_bronze_bucket = false
  }

  expect_failures = [var.bronze_bucket_name]
}

run "refuses_a_key_for_a_bucket_that_it_makes" {
  command = plan

  variables {
    bronze_kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/bronze"
  }

  expect_failures = [var.bronze_kms_key_arn]
}

run "refuses_to_turn_eventbridge_on_for_a_bucket_that_exists" {
  command = plan

  variables {
    create_bronze_bucket       = false
    bronze_bucket_name         = "ours"
    bronze_eventbridge_enabled = true
  }

  expect_failures = [var.bronze_eventbridge_enabled]
}

run "refuses_an_alias_for_a_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:alias/ours"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_key_for_queues_that_exist" {
  command = plan

  variables {
    kms_key_arn                        = "arn:aws:kms:us-east-2:123456789012:key/all"
    existing_queue_url                 = "https://sqs.us-east-2.amazonaws.com/123456789012/mine"
    existing_queue_arn                 = "arn:aws:sqs:us-east-2:123456789012:mine"
    existing_dlq_url                   = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-dlq"
    existing_dlq_arn                   = "arn:aws:sqs:us-east-2:123456789012:mine-dlq"
    existing_ingest_failures_queue_url = "https://sqs.us-east-2.amazonaws.com/123456789012/mine-ingest-failures"
    existing_ingest_failures_queue_arn = "arn:aws:sqs:us-east-2:123456789012:mine-ingest-failures"
  }

  expect_failures = [var.kms_key_arn]
}
