# Alarms of the lake. Missing data raises none: a function that does not run reports nothing; the lag then grows elsewhere.

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
