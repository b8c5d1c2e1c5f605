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
  project             = "smelt-test"
  image               = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ops@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  bronze_bucket       = "bronze"
  silver_bucket       = "silver"
  ledger_table        = "ledger"
  queue_url           = "https://sqs.us-east-2.amazonaws.com/123456789012/events"
  ingest_function     = "smelt-test-ingest"
  ingest_function_arn = "arn:aws:lambda:us-east-2:123456789012:function:smelt-test-ingest"
  arns = {
    bronze_bucket = "arn:aws:s3:::bronze"
    silver_bucket = "arn:aws:s3:::silver"
    ledger_table  = "arn:aws:dynamodb:us-east-2:123456789012:table/ledger"
    queue         = "arn:aws:sqs:us-east-2:123456789012:events"
  }
}

run "schedules_the_upkeep_and_not_the_workflow" {
  command = plan

  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.this : name => schedule.schedule_expression } == { sweep = "rate(5 minutes)", archive = "rate(1 hour)", reconcile = "rate(1 hour)" }
    error_message = "Sweep, archive and reconcile run by themselves; the workflow only if asked."
  }

  assert {
    condition     = aws_sfn_state_machine.this.name == "smelt-test-ops-replay-and-quality-gate" && length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "The machine is named after the project; there are no alarms unless asked."
  }

  assert {
    condition     = !strcontains(aws_sfn_state_machine.this.definition, "$${") && length(jsondecode(aws_sfn_state_machine.this.definition).States) == 10
    error_message = "The definition must hold the functions' ARNs."
  }
}

run "starts_the_workflow_with_this_pipeline_s_buckets" {
  command = plan

  variables {
    schedule_enabled              = true
    schedule_input                = { record_type = "smoke", src_prefix = "bronze/smoke/", start = "2026-01-01T00:00:00Z" }
    sweep_schedule_expression     = ""
    archive_schedule_expression   = ""
    reconcile_schedule_expression = ""
  }

  assert {
    condition = jsondecode(aws_scheduler_schedule.this["workflow"].target[0].input) == {
      bronze_bucket         = "bronze"
      src_prefix            = "bronze/smoke/"
      dest_prefix_base      = "bronze/replay/scheduled"
      start                 = "2026-01-01T00:00:00Z"
      silver_bucket         = "silver"
      silver_prefix         = "silver"
      record_type           = "smoke"
      min_parquet_objects   = 1
      poll_interval_seconds = 30
      max_attempts          = 20
    }
    error_message = "What is given replaces the defaults, and start replaces the window."
  }

  assert {
    condition     = length(aws_scheduler_schedule.this) == 1
    error_message = "An empty expression is no schedule."
  }
}

run "needs_no_scheduler_without_schedules" {
  command = plan

  variables {
    sweep_schedule_expression     = ""
    archive_schedule_expression   = ""
    reconcile_schedule_expression = ""
    alarms_enabled                = true
    alarm_topic_arn               = "arn:aws:sns:us-east-2:123456789012:on-call"
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "schedules-dropped")
    error_message = "Without schedules nothing can be dropped."
  }

  assert {
    condition     = length(aws_scheduler_schedule_group.this) == 0 && length(module.scheduler_role) == 0
    error_message = "Without schedules there is neither a group nor a role."
  }
}

run "refuses_a_key_that_the_workflow_does_not_know" {
  command = plan

  variables {
    schedule_input = { window_hour = 24 }
  }

  expect_failures = [var.schedule_input]
}

run "refuses_what_is_no_schedule" {
  command = plan

  variables {
    schedule_expression = "daily"
  }

  expect_failures = [var.schedule_expression]
}

run "refuses_schedules_that_only_look_like_some" {
  command = plan

  variables {
    schedule_expression           = "at(2026-01-31)"
    sweep_schedule_expression     = "rate(0 minutes)"
    archive_schedule_expression   = "rate(5 seconds)"
    reconcile_schedule_expression = "cron(0 3 * * *)" # five fields, as crontab has them
  }

  expect_failures = [
    var.schedule_expression,
    var.sweep_schedule_expression,
    var.archive_schedule_expression,
    var.reconcile_schedule_expression,
  ]
}

run "takes_what_event_bridge_scheduler_takes" {
  command = plan

  variables {
    sweep_schedule_expression     = "rate(1 minute)"
    archive_schedule_expression   = "cron(15 10 ? * 6L 2026-2030)"
    reconcile_schedule_expression = "at(2026-01-31T03:00:00)"
  }

  assert {
    condition     = length(aws_scheduler_schedule.this) == 3
    error_message = "Each is a schedule."
  }
}

run "refuses_a_name_that_step_functions_does_not_take" {
  command = plan

  variables {
    workflow_id = "replay and gate"
  }

  expect_failures = [var.workflow_id]
}

run "tells_of_schedules_that_could_not_start_anything" {
  command = plan

  variables {
    alarms_enabled  = true
    alarm_topic_arn = "arn:aws:sns:us-east-2:123456789012:on-call"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["schedules-dropped"].namespace == "AWS/Scheduler"
      && aws_cloudwatch_metric_alarm.this["schedules-dropped"].metric_name == "InvocationDroppedCount"
      && aws_cloudwatch_metric_alarm.this["schedules-dropped"].dimensions == tomap({ ScheduleGroup = aws_scheduler_schedule_group.this[0].name })
    )
    error_message = "What is never started has no errors of its own; only the scheduler reports it."
  }
}

run "calls_the_integrations_of_its_own_partition" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-us-gov", dns_suffix = "amazonaws.com" }
  }

  assert {
    condition     = !strcontains(aws_sfn_state_machine.this.definition, "arn:aws:") && jsondecode(aws_sfn_state_machine.this.definition).States.CheckInput.Resource == "arn:aws-us-gov:states:::lambda:invoke"
    error_message = "Step Functions ends an execution with: the resource belongs to a different partition from the running execution."
  }
}
