# Each alarm says what happened and what to do. Missing data is no alarm, but for "no data", which it is about.

locals {
  runbook = "Runbook: docs/observability.md."

  # One metric against a threshold: name -> alarm. Periods in seconds.
  simple = merge(
    var.dlq_name == "" ? {} : {
      dead-letters = {
        description = "Units failed too often and lie in ${var.dlq_name}. Their rows are not in Silver. Read the ledger's last error (smelt audit), mend the cause, redrive. ${local.runbook}"
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = var.dlq_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
    },
    var.ingest_failures_queue_name == "" ? {} : {
      ingest-failures = {
        description = "S3 events that ingest failed on three times lie in ${var.ingest_failures_queue_name}: objects that nobody has planned. Mend the cause (ingest's log), then upload or replay those objects. ${local.runbook}"
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = var.ingest_failures_queue_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
    },
    {
      late = {
        description = "A unit has waited for over ${var.oldest_message_seconds} s in ${var.queue_name}: Silver is late. Is transform throttled or failing? Raise its concurrency, or find the message that keeps coming back. ${local.runbook}"
        namespace   = "AWS/SQS"
        metric      = "ApproximateAgeOfOldestMessage"
        dimensions  = { QueueName = var.queue_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = var.oldest_message_seconds
        periods     = 1
      }
      events-dropped = {
        description = "Lambda dropped S3 events that waited too long for ingest, so objects may be unplanned. smelt audit shows which objects the ledger knows; replay the others. ${local.runbook}"
        namespace   = "AWS/Lambda"
        metric      = "AsyncEventsDropped"
        dimensions  = { FunctionName = var.functions["ingest"].name }
        statistic   = "Sum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      events-not-kept = {
        description = "Lambda could not hand a failed S3 event over to ${var.ingest_failures_queue_name}, so objects may be unplanned. Does the queue exist, and may ingest's role send to it? smelt audit shows which objects the ledger knows; replay the others. ${local.runbook}"
        namespace   = "AWS/Lambda"
        metric      = "DestinationDeliveryFailures"
        dimensions  = { FunctionName = var.functions["ingest"].name }
        statistic   = "Sum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      slow = {
        description = "Transform comes within a tenth of its timeout (${var.functions["transform"].timeout_seconds} s): soon an object will not fit. Raise transform_timeout_seconds, or cut objects smaller. ${local.runbook}"
        namespace   = "AWS/Lambda"
        metric      = "Duration"
        dimensions  = { FunctionName = var.functions["transform"].name }
        statistic   = "Maximum"
        period      = 300
        threshold   = var.functions["transform"].timeout_seconds * 1000 * 0.9
        periods     = 3
      }
    },
    { for service, function in var.functions : "${service}-errors" => {
      description = "${function.name} fails. What it worked on comes again by itself, up to the limit of tries; read its log for the reason. ${local.runbook}"
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = function.name }
      statistic   = "Sum"
      period      = 300
      threshold   = 0
      periods     = 2
    } },
    { for service, function in var.functions : "${service}-throttles" => {
      description = "${function.name} is throttled: the account's or its own concurrency is used up. Nothing is lost; it becomes late. Raise the limit, or set maximum_concurrency below it. ${local.runbook}"
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = function.name }
      statistic   = "Sum"
      period      = 300
      threshold   = 0
      periods     = 3
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "simple" {
  for_each = local.simple

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags
}

# The share of an hour's rows that went to quarantine, where there were enough rows to speak of a share.
resource "aws_cloudwatch_metric_alarm" "quarantine" {
  alarm_name          = "${var.name}-quarantine"
  alarm_description   = "Over ${var.quarantine_percent} % of an hour's rows went to quarantine: a producer has changed, or a contract is wrong. Query the quarantine by reason; mend the contract and replay, or talk to the producer. ${local.runbook}"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.quarantine_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "rows in quarantine, %"
    expression  = "IF(rows >= ${var.quarantine_minimum_rows}, 100 * bad / rows, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { rows = "RowsRead", bad = "RowsQuarantined" }

    content {
      id = metric_query.key

      metric {
        namespace   = var.metrics_namespace
        metric_name = metric_query.value
        dimensions  = { service = "transform" }
        stat        = "Sum"
        period      = 3600
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "no_data" {
  count = var.no_data_hours > 0 ? 1 : 0

  alarm_name          = "${var.name}-no-data"
  alarm_description   = "No object was planned for ${var.no_data_hours} h. Does the producer still upload, under bronze/<dataset>/? Does the bucket still notify ingest? ${local.runbook}"
  namespace           = var.metrics_namespace
  metric_name         = "ObjectsPlanned"
  dimensions          = { service = "ingest" }
  statistic           = "Sum"
  period              = 3600
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  evaluation_periods  = var.no_data_hours
  treat_missing_data  = "breaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags
}
