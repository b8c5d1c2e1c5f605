# What the toggles create, alone and together; and what is refused before anything exists.

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

run "refuses_a_topic_that_is_none" {
  command = plan

  variables {
    alarm_notification_topic_arn = "on-call@example.com"
  }

  expect_failures = [var.alarm_notification_topic_arn]
}

run "a_tag_for_the_project_in_another_spelling_takes_the_place_of_ours" {
  command = plan

  variables {
    tag_iam_and_sqs = true
    tags            = { Project = "billing" }
  }

  assert {
    condition     = tomap(output.tags) == tomap({ Project = "billing" }) && tomap(output.restricted_tags) == tomap(output.tags)
    error_message = "IAM takes project and Project for one key, and refuses both together."
  }
}

run "refuses_tags_that_are_awss_own" {
  command = plan

  variables {
    tags = { "aws:team" = "data" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_tag_without_a_name" {
  command = plan

  variables {
    tags = { "" = "data" }
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

run "takes_the_settings_that_functions_read" {
  command = plan

  variables {
    environment = { UNIT_BYTES = "1048576", POWERTOOLS_LOGGER_SAMPLE_RATE = "0.1" }
  }
}

run "refuses_to_take_the_metrics_away_from_the_alarms" {
  command = plan

  variables {
    environment = { POWERTOOLS_METRICS_NAMESPACE = "mine" }
  }

  expect_failures = [var.environment]
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

# Metrics are lines of the log without a level, which Lambda takes for INFO (AWS Lambda Developer Guide, "Log-level filtering").
run "refuses_a_log_level_that_would_drop_the_metrics" {
  command = plan

  variables {
    application_log_level = "WARN"
  }

  expect_failures = [var.application_log_level]
}

run "refuses_a_log_level_without_effect" {
  command = plan

  variables {
    environment = { POWERTOOLS_LOG_LEVEL = "DEBUG" }
  }

  expect_failures = [var.environment]
}

run "tells_what_other_modules_need" {
  command = plan

  assert {
    condition     = keys(output.functions) == local.functions && output.functions["ingest"].role_arn == "arn:aws:iam::123456789012:role/smelt-test-ingest"
    error_message = "Every function in functions.json must be described, with its role."
  }
}
