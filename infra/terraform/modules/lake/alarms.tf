# Alarms of the lake. Missing data raises none. A function that does not run reports nothing, not even its lag: the scheduler
# that cannot start it, and Lambda that throttles it, do.

locals {
  runbook = "Runbook: docs/lake.md"

  alarms = merge(
    { for function in keys(local.functions) : "${function}-errors" => {
      description = "${local.name}-${function} fails again and again. What waits is kept and nothing is lost. Read its log for the reason. ${local.runbook}#when-lots-wait."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = "${local.name}-${function}" }
      statistic   = "Sum"
      threshold   = 0
      period      = function == "publish" ? 300 : 3600
      periods     = 3
    } },
    { for function in keys(local.functions) : "${function}-throttles" => {
      description = "${local.name}-${function} is throttled: the concurrency of the account is used up. What waits is kept and nothing is lost. Raise the limit, or lower maximum_concurrency. Runbook: docs/runbook.md#throttling."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = "${local.name}-${function}" }
      statistic   = "Sum"
      threshold   = 0
      period      = 300
      periods     = 3
    } },
    { for group in length(local.schedules) == 0 ? [] : [local.name] : "schedules-dropped" => {
      description = "EventBridge Scheduler cannot start what a schedule of the group ${group} is for: committed rows are not published, or old snapshots stay. Plain Silver has the rows. May the role ${group}-scheduler still be taken on, and start them? Is the target throttled? ${local.runbook}#when-lots-wait."
      namespace   = "AWS/Scheduler"
      metric      = "InvocationDroppedCount"
      dimensions  = { ScheduleGroup = group }
      statistic   = "Sum"
      threshold   = 0
      period      = 900 # a start each minute is not tried again: one that fails is made up for by the next
      periods     = 2
    } },
    {
      publish-lag = {
        description = "Committed rows have waited for more than ${var.alarm_lag_seconds} seconds to be published into the lake's tables. Plain Silver has them. ${local.runbook}#when-lots-wait."
        namespace   = var.project
        metric      = "PublishLag"
        dimensions  = { service = "lake-publish" }
        statistic   = "Maximum"
        threshold   = var.alarm_lag_seconds
        period      = 300
        periods     = 2
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = var.alarms_enabled ? local.alarms : {}

  alarm_name          = "${var.project}-${local.region}-lake-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
  ok_actions          = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
  tags                = var.tags
}
