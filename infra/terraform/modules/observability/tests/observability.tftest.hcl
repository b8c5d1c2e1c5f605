mock_provider "aws" {}

variables {
  name                       = "smelt-test"
  region                     = "us-east-2"
  metrics_namespace          = "smelt-test"
  queue_name                 = "smelt-test-events"
  dlq_name                   = "smelt-test-events-dlq"
  ingest_failures_queue_name = "smelt-test-ingest-failures"
  ledger_table               = "smelt-test-ledger"
  bronze_bucket              = "smelt-test-bronze"
  silver_bucket              = "smelt-test-silver"
  functions = {
    ingest    = { name = "smelt-test-ingest", timeout_seconds = 60, memory_mb = 512 }
    transform = { name = "smelt-test-transform", timeout_seconds = 300, memory_mb = 1769 }
  }
}

run "tells_a_topic_of_its_own" {
  command = plan

  assert {
    condition     = aws_sns_topic.alarms[0].name == "smelt-test-us-east-2-alarms"
    error_message = "Without a topic one must be created."
  }
}

run "tells_the_topic_that_is_given" {
  command = plan

  variables {
    notification_topic_arn = "arn:aws:sns:us-east-2:123456789012:on-call"
  }

  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && alltrue([for alarm in aws_cloudwatch_metric_alarm.simple : alarm.alarm_actions == toset(["arn:aws:sns:us-east-2:123456789012:on-call"])])
    error_message = "A given topic must be told, and none be created."
  }
}

run "is_silent_about_silence_where_that_is_normal" {
  command = plan

  variables {
    no_data_hours = 0
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.no_data) == 0
    error_message = "0 hours must turn the alarm off."
  }
}

run "raises_an_alarm_for_what_is_not_loaded" {
  command = plan

  assert {
    condition     = alltrue([for service in ["ingest", "transform"] : aws_cloudwatch_metric_alarm.simple["${service}-rejects"].metric_name == "ObjectsRejected" && aws_cloudwatch_metric_alarm.simple["${service}-rejects"].dimensions == tomap({ service = service })])
    error_message = "Each function's rejected objects must raise an alarm."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.simple["units-dead"].metric_name == "UnitsDead" && aws_cloudwatch_metric_alarm.simple["units-dead"].threshold == 0
    error_message = "Every dead unit must raise an alarm."
  }
}

run "watches_the_rule_of_a_bucket_that_exists" {
  command = plan

  variables {
    object_events_rule_name = "smelt-test-bronze"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.simple["rule-events-not-kept"].metric_name == "InvocationsFailedToBeSentToDlq" && aws_cloudwatch_metric_alarm.simple["rule-events-not-kept"].dimensions == tomap({ RuleName = "smelt-test-bronze" })
    error_message = "An event that no queue has must raise an alarm."
  }
}

run "watches_no_rule_where_there_is_none" {
  command = plan

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.simple), "rule-events-not-kept")
    error_message = "Without a rule there is nothing to watch."
  }
}

run "late_begins_at_the_given_age" {
  command = plan

  variables {
    oldest_message_seconds = 600
  }

  assert {
    condition     = alltrue([for alarm in ["late", "returned"] : aws_cloudwatch_metric_alarm.simple[alarm].threshold == 600])
    error_message = "The threshold must reach the alarm."
  }
}

run "slow_begins_after_the_worker_s_own_deadline" {
  command = plan

  assert {
    condition     = aws_cloudwatch_metric_alarm.simple["slow"].threshold == 295000
    error_message = "Of 300 s, transform keeps the last 15 for ending; 10 of them used up must be slow."
  }
}

run "slow_follows_a_short_timeout" {
  command = plan

  variables {
    functions = {
      ingest    = { name = "smelt-test-ingest", timeout_seconds = 60, memory_mb = 512 }
      transform = { name = "smelt-test-transform", timeout_seconds = 30, memory_mb = 1769 }
    }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.simple["slow"].threshold == 27500
    error_message = "Of 30 s, transform keeps a quarter for ending; two thirds of it used up must be slow."
  }
}

run "says_its_region_in_every_name" {
  command = plan

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.simple), [aws_cloudwatch_metric_alarm.quarantine, aws_cloudwatch_metric_alarm.no_data[0]]) : startswith(alarm.alarm_name, "smelt-test-us-east-2-")]) && aws_cloudwatch_dashboard.this.dashboard_name == "smelt-test-us-east-2"
    error_message = "Dashboards are one list in an account: a name without its region is taken once."
  }
}

run "waits_a_week_for_a_weekly_producer" {
  command = plan

  variables {
    no_data_hours = 168
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_data[0].period * aws_cloudwatch_metric_alarm.no_data[0].evaluation_periods == 604800
    error_message = "168 hours must be a week."
  }
}

run "refuses_to_look_back_further_than_cloudwatch_does" {
  command = plan

  variables {
    no_data_hours = 169
  }

  expect_failures = [var.no_data_hours]
}
