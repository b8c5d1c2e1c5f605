# Alarms of the operators' part. Missing data raises none: an execution or a function that does not run reports nothing.

locals {
  runbook = "Runbook: docs/runbook.md" # and the recipe's heading

  alarms = merge(
    {
      workflow-failed = {
        description = "An execution of ${local.machine} has failed: its cause says what is missing, or which key of its input is wrong. Nothing is lost; correct it and start it again: what is in Silver is skipped. `make ops-history` shows the executions. ${local.runbook}#the-ops-workflow-failed."
        namespace   = "AWS/States"
        metric      = "ExecutionsFailed"
        dimensions  = { StateMachineArn = local.machine_arn }
        period      = 300
        periods     = 1
      }
      workflow-timed-out = {
        description = "An execution of ${local.machine} has run for 30 days, its limit. Divide the work: one execution for each of several longer prefixes. ${local.runbook}#the-ops-workflow-failed."
        namespace   = "AWS/States"
        metric      = "ExecutionsTimedOut"
        dimensions  = { StateMachineArn = local.machine_arn }
        period      = 300
        periods     = 1
      }
    },
    # A function or a workflow that is never started reports nothing; whoever should have started it does.
    { for group in length(local.schedules) == 0 ? [] : [local.name] : "schedules-dropped" => {
      description = "EventBridge Scheduler could not start what a schedule of the group ${group} is for, and gave up after its retries: sweep, archive, reconcile or the workflow did not run. May the role ${group}-scheduler still be taken on, and start them? Is the target throttled? The next run goes on where the last one stopped. ${local.runbook}#a-scheduled-function-fails."
      namespace   = "AWS/Scheduler"
      metric      = "InvocationDroppedCount"
      dimensions  = { ScheduleGroup = group }
      period      = 300
      periods     = 1
    } },
    # Replay and probe are tried again by the workflow, whose failure is an alarm of its own; who starts rewrite sees its error.
    # The others run on a schedule: one run that fails is made up for by the next.
    { for function in setsubtract(keys(local.functions), ["replay", "probe", "rewrite"]) : "${function}-errors" => {
      description = "${local.name}-${function} fails in every hour. Its work waits and nothing is lost. Read its log for the reason. ${local.runbook}#a-scheduled-function-fails."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = "${local.name}-${function}" }
      period      = 3600
      periods     = 2
    } },
    { for function in keys(local.functions) : "${function}-throttles" => {
      description = "${local.name}-${function} is throttled: the concurrency of the account, or its own, is used up. Its work waits and nothing is lost. Raise the limit, or lower maximum_concurrency. ${local.runbook}#throttling."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = "${local.name}-${function}" }
      period      = 300
      periods     = 3
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = var.alarms_enabled ? local.alarms : {}

  alarm_name          = "${var.project}-${local.region}-ops-${each.key}"
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
