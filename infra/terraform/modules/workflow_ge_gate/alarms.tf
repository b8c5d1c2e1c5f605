# Alarms of the gate. Missing data raises none: an execution or a function that does not run reports nothing.

locals {
  runbook = "Runbook: docs/runbook.md" # and the recipe's heading

  alarms = merge(
    {
      not-passed = {
        description = "An execution of ${local.name} has failed: a partition has not passed its contract's rules (GateFailed), or nobody knows whether it would (GateError). The cause names the rules and the page of the run; `make ge-history` shows the executions. ${local.runbook}#a-partition-has-not-passed-the-gate."
        namespace   = "AWS/States"
        metric      = "ExecutionsFailed"
        dimensions  = { StateMachineArn = local.machine_arn }
        period      = 300
        periods     = 1
      }
      timed-out = {
        description = "An execution of ${local.name} has run for a day, its limit: its partition was not judged. Look at the Glue job's runs; start it again with `make ge-start`. ${local.runbook}#a-partition-has-not-passed-the-gate."
        namespace   = "AWS/States"
        metric      = "ExecutionsTimedOut"
        dimensions  = { StateMachineArn = local.machine_arn }
        period      = 300
        periods     = 1
      }
    },
    var.emit_events ? {
      announce-dropped = {
        description = "EventBridge Scheduler could not start ${var.project}-ge-announce and gave up: written partitions are not announced meanwhile. Nothing is lost; the next run goes on. May the role ${local.schedule_name}-scheduler still start it? ${local.runbook}#the-gate-does-not-start-by-itself."
        namespace   = "AWS/Scheduler"
        metric      = "InvocationDroppedCount"
        dimensions  = { ScheduleGroup = local.schedule_name }
        period      = 900
        periods     = 2
      }
      announce-errors = {
        description = "${var.project}-ge-announce fails again and again: written partitions are not announced, so the gate does not start by itself. Nothing is lost; the marks wait in the ledger. Read its log for the reason. ${local.runbook}#the-gate-does-not-start-by-itself."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = "${var.project}-ge-announce" }
        period      = 900
        periods     = 2
      }
    } : {},
    var.eventbridge_enabled ? {
      rule-failed = {
        description = "EventBridge could not start ${local.name} for a written partition, however often it tried: that partition was not judged. Start it with `make ge-start`. ${local.runbook}#the-gate-does-not-start-by-itself."
        namespace   = "AWS/Events"
        metric      = "FailedInvocations"
        dimensions  = { RuleName = local.name }
        period      = 300
        periods     = 1
      }
    } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = var.alarms_enabled ? local.alarms : {}

  alarm_name          = "${var.project}-${local.region}-ge-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = "Sum"
  period              = each.value.period
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}
