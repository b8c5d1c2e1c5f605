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
  project       = "smelt-test"
  image         = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ops@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  job_name      = "smelt-test-validate-silver"
  silver_bucket = "silver"
  ledger_table  = "ledger"
  arns = {
    silver_bucket = "arn:aws:s3:::silver"
    ledger_table  = "arn:aws:dynamodb:us-east-2:123456789012:table/ledger"
  }
}

run "starts_by_hand_and_tells_nobody_unless_asked" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.written) == 0 && length(aws_scheduler_schedule.announce) == 0 && length(aws_cloudwatch_metric_alarm.this) == 0 && keys(local.functions) == ["gate"]
    error_message = "Without its toggles, nothing starts the gate by itself."
  }

  assert {
    condition     = !strcontains(aws_sfn_state_machine.this.definition, "$${") && jsondecode(aws_sfn_state_machine.this.definition).States.RunJob.Parameters.JobName == "smelt-test-validate-silver"
    error_message = "The definition must name the job and the function."
  }

  assert {
    condition     = local.functions.gate.environment.GE_QUARANTINE_PREFIX == "" && jsondecode(aws_sfn_state_machine.this.definition).States.WhoIsTold.Result.topic == ""
    error_message = "No marker and no topic without their toggles."
  }
}

run "listens_to_this_pipeline_s_partitions_only" {
  command = plan

  variables {
    emit_events         = true
    eventbridge_enabled = true
    every_minutes       = 30
    quarantine_enabled  = true
    topic_arn           = "arn:aws:sns:us-east-2:123456789012:people"
    alarms_enabled      = true
    alarm_topic_arn     = "arn:aws:sns:us-east-2:123456789012:alarms"
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.written[0].event_pattern) == { source = ["smelt"], "detail-type" = ["Silver partition written"], detail = { pipeline = ["smelt-test"] } }
    error_message = "Another pipeline's events must start nothing here."
  }

  assert {
    condition     = local.functions.announce.environment.ANNOUNCE_EVERY_MINUTES == "30" && local.functions.gate.environment.GE_QUARANTINE_PREFIX == "ge/quarantine"
    error_message = "The functions must be told how often, and where markers are."
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["announce-dropped", "announce-errors", "not-passed", "rule-failed", "timed-out"]
    error_message = "Each way in which the gate stays silent has an alarm."
  }
}

run "refuses_markers_outside_of_ge" {
  command = plan

  variables {
    quarantine_prefix = "silver/markers"
  }

  expect_failures = [var.quarantine_prefix]
}

run "calls_the_integrations_of_its_own_partition" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-us-gov", dns_suffix = "amazonaws.com" }
  }

  assert {
    condition     = !strcontains(aws_sfn_state_machine.this.definition, "arn:aws:") && jsondecode(aws_sfn_state_machine.this.definition).States.Plan.Resource == "arn:aws-us-gov:states:::lambda:invoke"
    error_message = "Step Functions ends an execution with: the resource belongs to a different partition from the running execution."
  }
}
