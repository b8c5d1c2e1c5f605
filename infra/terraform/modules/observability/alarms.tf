# Each alarm says what happened and what to do. Missing data raises no alarm: a function that is not called reports nothing.
# tests/integration/test_alarms.py evaluates each alarm by CloudWatch's rules, on healthy and on failing days.

locals {
  runbook = "Runbook: docs/runbook.md" # and the recipe's heading

  # A worker stops itself before its timeout, and keeps this for ending what it has begun (services/shared/deadline.py).
  transform_timeout = var.functions["transform"].timeout_seconds
  transform_reserve = min(15, local.transform_timeout / 4)

  # One metric against a threshold: name -> alarm. Periods in seconds. `datapoints` of the last `periods` must breach;
  # without it, all of them.
  simple = merge(
    {
      dead-letters = {
        description = "The dead-letter queue ${var.dlq_name} holds units that transform tried five times, so their rows are not in Silver, or messages that it refused. Each message has its reason. Fix the cause, then redrive the queue. ${local.runbook}#from-an-alarm-to-its-recipe."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = var.dlq_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      # The queue's depth stays above 0 until somebody redrives; this one is raised again by each new dead letter.
      units-dead = {
        description = "transform has given up units after five attempts, or refused messages, and has sent them to ${var.dlq_name}. Read its log or the messages for the reason, fix the cause, then redrive. ${local.runbook}#from-an-alarm-to-its-recipe."
        namespace   = var.metrics_namespace
        metric      = "UnitsDead"
        dimensions  = { service = "transform" }
        statistic   = "Sum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      ingest-failures = {
        description = "${var.ingest_failures_queue_name} holds S3 events that ingest failed on three times: their objects are not planned. Fix the cause (ingest's log), then send these events to ingest again. ${local.runbook}#events-that-ingest-failed-on."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = var.ingest_failures_queue_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      late = {
        description = "A unit has waited for more than ${var.oldest_message_seconds} s in ${var.queue_name}: Silver is late. Is transform paused, throttled, or busy up to maximum_concurrency? A unit that was received more than three times is not counted here, but by `returned`. Nothing is lost for 14 days. ${local.runbook}#silver-is-late."
        namespace   = "AWS/SQS"
        metric      = "ApproximateAgeOfOldestMessage"
        dimensions  = { QueueName = var.queue_name }
        statistic   = "Maximum"
        period      = 300
        threshold   = var.oldest_message_seconds
        periods     = 1
      }
      # SQS leaves a message out of its age once it was received more than three times; transform sees these.
      returned = {
        description = "A unit has come back to ${var.queue_name} and was sent more than ${var.oldest_message_seconds} s ago: it is tried again and again, and its rows are not in Silver. transform's log (message goes back) has the reason, such as a missing permission or an outage. After 14 days SQS deletes it. ${local.runbook}#silver-is-late."
        namespace   = var.metrics_namespace
        metric      = "ReturnedAge"
        dimensions  = { service = "transform" }
        statistic   = "Maximum"
        period      = 300
        threshold   = var.oldest_message_seconds
        periods     = 1
      }
      # AsyncEventsDropped would count the events that reached the queue, too; these are the ones that no queue has.
      events-not-kept = {
        description = "Lambda could not put a failed S3 event into ${var.ingest_failures_queue_name}, so its object may not be planned. Does the queue exist, and may ingest's role send to it? smelt audit lists the objects of Bronze that the ledger does not know. ${local.runbook}#a-lost-event."
        namespace   = "AWS/Lambda"
        metric      = "DestinationDeliveryFailures"
        dimensions  = { FunctionName = var.functions["ingest"].name }
        statistic   = "Sum"
        period      = 300
        threshold   = 0
        periods     = 1
      }
      slow = {
        description = "Invocations of transform ended less than ${local.transform_reserve / 3} s before their timeout (${local.transform_timeout} s). They stop reading ${local.transform_reserve} s before it, and ending took most of that; one that is killed loses its work. Are S3 or DynamoDB slow? Raise transform_timeout_seconds or transform_memory_mb. ${local.runbook}#silver-is-late."
        namespace   = "AWS/Lambda"
        metric      = "Duration"
        dimensions  = { FunctionName = var.functions["transform"].name }
        statistic   = "Maximum"
        period      = 300
        threshold   = (local.transform_timeout - local.transform_reserve / 3) * 1000
        periods     = 6
        datapoints  = 2
      }
    },
    # EventBridge sends its failed invocations to the queue of failed events; these are the ones that no queue has.
    { for rule in var.object_events_rule_name == "" ? [] : [var.object_events_rule_name] : "rule-events-not-kept" => {
      description = "EventBridge could neither hand an object's event to ingest nor put it into ${var.ingest_failures_queue_name}, so the object may not be planned. Does the queue exist, does its policy (and key) admit events.amazonaws.com? smelt audit lists the objects of Bronze that the ledger does not know. ${local.runbook}#a-lost-event."
      namespace   = "AWS/Events"
      metric      = "InvocationsFailedToBeSentToDlq"
      dimensions  = { RuleName = rule }
      statistic   = "Sum"
      period      = 300
      threshold   = 0
      periods     = 1
    } },
    { for service, function in var.functions : "${service}-rejects" => {
      description = "${function.name} has rejected objects: they are not loaded, and nothing tries them again. smelt audit lists them with their reasons, such as a suffix that is not supported. ${local.runbook}#objects-that-are-not-loaded."
      namespace   = var.metrics_namespace
      metric      = "ObjectsRejected"
      dimensions  = { service = service }
      statistic   = "Sum"
      period      = 300
      threshold   = 0
      periods     = 1
    } },
    # Three periods: one event that fails three times within four minutes is a matter for ingest-failures alone.
    { for service, function in var.functions : "${service}-errors" => {
      description = "${function.name} has failed for a quarter of an hour. What it worked on comes again by itself, up to the limit of attempts. Read its log for the reason. ${local.runbook}#a-deployment-in-the-middle."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = function.name }
      statistic   = "Sum"
      period      = 300
      threshold   = 0
      periods     = 3
    } },
    { for service, function in var.functions : "${service}-throttles" => {
      description = "${function.name} is throttled: the concurrency of the account, or its own, is used up. Nothing is lost, but it becomes late. Raise the limit, or lower maximum_concurrency. ${local.runbook}#throttling."
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

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = try(each.value.datapoints, each.value.periods)
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags
}

# The share of an hour's rows that went to quarantine, where there were enough rows to speak of a share.
resource "aws_cloudwatch_metric_alarm" "quarantine" {
  alarm_name          = "${local.name}-quarantine"
  alarm_description   = "More than ${var.quarantine_percent} % of an hour's rows went to quarantine: a producer has changed, or a contract is wrong. Query the quarantine by reason. Correct the contract or talk to the producer, for the rows to come; do not load the objects again. ${local.runbook}#a-changed-producer-or-contract."
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

# The same share of bytes: one refused row may be a whole file that was written in a form that nobody expected.
resource "aws_cloudwatch_metric_alarm" "quarantine_bytes" {
  alarm_name          = "${local.name}-quarantine-bytes"
  alarm_description   = "More than ${var.quarantine_percent} % of the bytes of an hour's rows went to quarantine, perhaps in few rows: a file that is damaged or in another form than its rows should have. Query the quarantine by reason and source. ${local.runbook}#a-changed-producer-or-contract."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.quarantine_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "bytes of rows in quarantine, %"
    expression  = "IF(rows >= ${var.quarantine_minimum_bytes}, 100 * bad / rows, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { rows = "RowBytesRead", bad = "RowBytesQuarantined" }

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

# SQS reports how many messages were sent, 0 too, for as long as somebody polls the queue. Before the pipeline is there, and
# while transform is paused for hours, it reports nothing, and nothing is missed. A metric of ingest's own would be missing in
# both cases: when nothing arrives, and when nothing has been there yet.
resource "aws_cloudwatch_metric_alarm" "no_data" {
  count = var.no_data_hours > 0 ? 1 : 0

  alarm_name          = "${local.name}-no-data"
  alarm_description   = "No unit was sent to ${var.queue_name} for ${var.no_data_hours} h, so no object was planned. Does the producer still upload, under bronze/<dataset>/? Does the bucket still notify ingest? ${local.runbook}#nothing-arrives."
  namespace           = "AWS/SQS"
  metric_name         = "NumberOfMessagesSent"
  dimensions          = { QueueName = var.queue_name }
  statistic           = "Sum"
  period              = 3600
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  evaluation_periods  = var.no_data_hours
  datapoints_to_alarm = var.no_data_hours
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = var.tags
}
