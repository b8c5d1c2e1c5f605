# What the toggles create, alone and together; and what is refused before anything exists.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
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

run "defaults" {
  command = plan

  assert {
    condition     = local.bronze_bucket == "smelt-test-bronze-123456789012-us-east-2" && local.silver_bucket == "smelt-test-silver-123456789012-us-east-2"
    error_message = "Bucket names must be unique by account and region."
  }

  assert {
    condition     = length(module.queue) == 1 && length(module.ingest_failures) == 1
    error_message = "Terraform manages the queues by default."
  }

  assert {
    condition     = length(module.observability) == 0
    error_message = "Alarms and dashboard are off by default."
  }

  assert {
    condition     = length(local.restricted_tags) == 0 && local.tags.project == "smelt-test"
    error_message = "IAM roles and SQS queues are not tagged by default, the others are."
  }

  assert {
    condition     = local.senders.queue == ["arn:aws:iam::123456789012:role/smelt-test-ingest"] && local.senders.dlq == ["arn:aws:iam::123456789012:role/smelt-test-transform"] && local.senders.ingest_failures == ["arn:aws:iam::123456789012:role/smelt-test-ingest"]
    error_message = "Without operators only ingest may send units and failed events, and only transform dead letters."
  }

  assert {
    condition     = var.maximum_concurrency == 10 && var.batch_size == 99 && var.max_receive_count == 1000
    error_message = "Concurrency must be limited, a delivery be one lot, and receives be only a backstop."
  }

  assert {
    condition     = length(output.queue_policies) == 0 && output.dlq_arn == "arn:aws:sqs:us-east-2:123456789012:smelt-test-events-dlq"
    error_message = "There is nothing to set by hand, and the dead-letter queue must be named for redriving."
  }
}

run "everything_on" {
  command = plan

  variables {
    observability_enabled        = true
    alarm_notification_topic_arn = "arn:aws:sns:us-east-2:123456789012:on-call"
    tag_iam_and_sqs              = true
    tags                         = { team = "data" }
    quarantine_expiry_days       = 90
    maximum_concurrency          = 10
    reserved_concurrency         = { ingest = 5, transform = 20 }
    iam_name_prefix              = "team-a-"
    operator_principal_arns      = ["arn:aws:iam::123456789012:role/on-call/*"]
    architecture                 = "arm64"
  }

  assert {
    condition     = local.senders.queue == ["arn:aws:iam::123456789012:role/team-a-smelt-test-ingest", "arn:aws:iam::123456789012:role/on-call/*"] && local.senders.dlq == ["arn:aws:iam::123456789012:role/team-a-smelt-test-transform", "arn:aws:iam::123456789012:role/on-call/*"]
    error_message = "Operators must be allowed to send beside the functions' roles, which carry the prefix."
  }

  assert {
    condition     = local.senders.ingest_failures == ["arn:aws:iam::123456789012:role/team-a-smelt-test-ingest"]
    error_message = "Nobody but ingest may send failed events."
  }

  assert {
    condition     = length(module.observability) == 1
    error_message = "observability_enabled must create alarms and dashboard."
  }

  assert {
    condition     = local.restricted_tags == tomap({ project = "smelt-test", team = "data" })
    error_message = "tag_iam_and_sqs must tag roles and queues too."
  }

  assert {
    condition     = module.ingest.role_name == "team-a-smelt-test-ingest"
    error_message = "Roles must carry the prefix."
  }
}

run "observability_with_a_topic_of_its_own" {
  command = plan

  variables {
    observability_enabled = true
  }

  assert {
    condition     = length(module.observability) == 1
    error_message = "Without a topic one is created."
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

run "own_bucket_names" {
  command = plan

  variables {
    bronze_bucket_name = "our-raw-data"
    silver_bucket_name = "our-tables"
  }

  assert {
    condition     = local.bronze_bucket == "our-raw-data" && local.silver_bucket == "our-tables"
    error_message = "Given bucket names must be used."
  }
}

run "no_tracing" {
  command = plan

  variables {
    tracing_enabled = false
  }

  assert {
    condition     = local.environment.POWERTOOLS_TRACE_DISABLED == "true"
    error_message = "Without tracing Powertools must not trace either."
  }
}

run "refuses_missing_images" {
  command = plan

  variables {
    images = {}
  }

  expect_failures = [var.images]
}

run "refuses_images_by_tag" {
  command = plan

  variables {
    images = { ingest = "repository/ingest:latest", transform = "repository/transform:latest" }
  }

  expect_failures = [var.images]
}

run "refuses_a_project_that_no_bucket_could_be_named_after" {
  command = plan

  variables {
    project = "Smelt_Dev"
  }

  expect_failures = [var.project]
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

run "refuses_a_topic_that_is_none" {
  command = plan

  variables {
    alarm_notification_topic_arn = "on-call@example.com"
  }

  expect_failures = [var.alarm_notification_topic_arn]
}

run "refuses_one_bucket_for_both" {
  command = plan

  variables {
    bronze_bucket_name = "one-bucket"
    silver_bucket_name = "one-bucket"
  }

  expect_failures = [var.silver_bucket_name]
}

run "refuses_tags_that_are_awss_own" {
  command = plan

  variables {
    tags = { "aws:team" = "data" }
  }

  expect_failures = [var.tags]
}

run "refuses_more_concurrency_than_is_reserved" {
  command = plan

  variables {
    maximum_concurrency  = 20
    reserved_concurrency = { transform = 10 }
  }

  expect_failures = [var.maximum_concurrency]
}

run "refuses_a_reservation_below_the_default_concurrency" {
  command = plan

  variables {
    reserved_concurrency = { transform = 9 }
  }

  expect_failures = [var.maximum_concurrency]
}

run "takes_a_reservation_that_is_just_enough" {
  command = plan

  variables {
    maximum_concurrency  = 9
    reserved_concurrency = { transform = 9 }
  }

  assert {
    condition     = var.maximum_concurrency == var.reserved_concurrency["transform"]
    error_message = "As much concurrency as is reserved must be accepted."
  }
}

run "refuses_a_concurrency_of_one" {
  command = plan

  variables {
    maximum_concurrency = 1
  }

  expect_failures = [var.maximum_concurrency]
}

run "refuses_a_batch_that_makes_two_lots" {
  command = plan

  variables {
    batch_size = 100
  }

  expect_failures = [var.batch_size]
}

run "refuses_receives_that_would_decide" {
  command = plan

  variables {
    max_receive_count = 99
  }

  expect_failures = [var.max_receive_count]
}

run "refuses_a_session_as_an_operator" {
  command = plan

  variables {
    operator_principal_arns = ["arn:aws:sts::123456789012:assumed-role/on-call/jane"]
  }

  expect_failures = [var.operator_principal_arns]
}

run "refuses_all_roles_of_an_account_as_operators" {
  command = plan

  variables {
    operator_principal_arns = ["arn:aws:iam::123456789012:role/*"]
  }

  expect_failures = [var.operator_principal_arns]
}

# Fails where the plan does.
run "transform_may_be_stopped_on_purpose" {
  command = plan

  variables {
    maximum_concurrency  = 20
    reserved_concurrency = { transform = 0 }
  }
}

run "refuses_a_setting_that_nothing_reads" {
  command = plan

  variables {
    environment = { UNITS_BYTES = "1048576" }
  }

  expect_failures = [var.environment]
}

run "refuses_a_setting_that_is_no_number" {
  command = plan

  variables {
    environment = { UNIT_BYTES = "64 MiB" }
  }

  expect_failures = [var.environment]
}

# Fails where the plan does.
run "takes_the_settings_that_functions_read" {
  command = plan

  variables {
    environment = { UNIT_BYTES = "1048576", POWERTOOLS_LOGGER_SAMPLE_RATE = "0.1" }
  }
}

run "refuses_less_memory_than_a_lot_needs" {
  command = plan

  variables {
    transform_memory_mb = 256
  }

  expect_failures = [var.transform_memory_mb]
}

run "refuses_concurrency_of_an_unknown_function" {
  command = plan

  variables {
    reserved_concurrency = { transforms = 5 }
  }

  expect_failures = [var.reserved_concurrency]
}

run "logs_as_much_as_asked" {
  command = plan

  variables {
    application_log_level = "DEBUG"
  }

  assert {
    condition     = !contains(keys(local.environment), "POWERTOOLS_LOG_LEVEL")
    error_message = "There must be one level, Lambda's own."
  }
}

run "refuses_a_log_level_without_effect" {
  command = plan

  variables {
    environment = { POWERTOOLS_LOG_LEVEL = "DEBUG" }
  }

  expect_failures = [var.environment]
}

run "refuses_a_project_that_ecr_would_refuse" {
  command = plan

  variables {
    project = "a--b"
  }

  expect_failures = [var.project]
}

run "refuses_a_project_that_is_too_long_for_a_bucket" {
  command = plan

  variables {
    project = "abcdefghijklmnopqrstuvwxy"
  }

  expect_failures = [var.project]
}

run "refuses_a_project_with_a_prefix_that_s3_keeps" {
  command = plan

  variables {
    project = "sthree-smelt"
  }

  expect_failures = [var.project]
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

run "tells_what_other_modules_need" {
  command = plan

  assert {
    condition     = keys(output.functions) == local.functions && output.functions["ingest"].role_arn == "arn:aws:iam::123456789012:role/smelt-test-ingest"
    error_message = "Every function in functions.json must be described, with its role."
  }
}
