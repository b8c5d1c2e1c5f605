# Four rows, four questions: is data flowing, is it late, is it bad, what does it cost.

locals {
  # A row is a heading and up to three charts of eight columns each. A chart is a title, a unit and its lines.
  rows = [
    {
      question = "Is data flowing?"
      answer   = "Rows go in on the left and come out on the right; what is read is in Silver or in quarantine."
      charts = [
        { title = "Objects planned", stat = "Sum", lines = [
          [var.metrics_namespace, "ObjectsPlanned", "service", "ingest"],
          [var.metrics_namespace, "DuplicatesSkipped", "service", "ingest", { label = "duplicates skipped" }],
        ] },
        { title = "Units sent and committed", stat = "Sum", lines = [
          [var.metrics_namespace, "UnitsSent", "service", "ingest"],
          [var.metrics_namespace, "UnitsCommitted", "service", "transform"],
        ] },
        { title = "Rows", stat = "Sum", lines = [
          [var.metrics_namespace, "RowsRead", "service", "transform"],
          [var.metrics_namespace, "RowsSilver", "service", "transform"],
          [var.metrics_namespace, "RowsQuarantined", "service", "transform"],
        ] },
      ]
    },
    {
      question = "Is it late?"
      answer   = "From the object's creation to its rows in Silver, and what waits in between."
      charts = [
        { title = "From upload to Silver, s", stat = "p95", lines = [
          [var.metrics_namespace, "SilverLag", "service", "transform", { label = "95 of 100" }],
          ["...", { label = "the slowest", stat = "Maximum" }],
        ] },
        { title = "Oldest unit in the queue, s", stat = "Maximum", lines = [
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name],
          [var.metrics_namespace, "ReturnedAge", "service", "transform", { label = "oldest that came back" }],
        ] },
        { title = "Units waiting and in flight", stat = "Maximum", lines = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queue_name, { label = "waiting" }],
          ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", var.queue_name, { label = "in flight" }],
        ] },
      ]
    },
    {
      question = "Is it bad?"
      answer   = "What was not loaded, what a contract refused, what producers added, what failed."
      charts = [
        { title = "Not loaded: dead letters, failed S3 events, rejected objects", stat = "Sum", lines = concat(
          [
            for queue in distinct([var.dlq_name, var.ingest_failures_queue_name]) :
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, { label = "in ${queue}", stat = "Maximum" }]
          ],
          [[var.metrics_namespace, "UnitsDead", "service", "transform"]],
          [
            for service in keys(var.functions) :
            [var.metrics_namespace, "ObjectsRejected", "service", service, { label = "rejected by ${service}" }]
          ],
        ) },
        { title = "Rows in quarantine, with unknown fields; bytes refused (right)", stat = "Sum", lines = concat(
          [
            [var.metrics_namespace, "RowsQuarantined", "service", "transform"],
            [var.metrics_namespace, "RowsRescued", "service", "transform"],
            [var.metrics_namespace, "RowBytesQuarantined", "service", "transform", { yAxis = "right" }],
          ],
          [
            for service in keys(var.functions) :
            [var.metrics_namespace, "BytesRejected", "service", service, { label = "bytes rejected by ${service}", yAxis = "right" }]
          ],
        ) },
        { title = "Errors, throttles, messages and lots that are tried again", stat = "Sum", lines = concat(
          [for service, function in var.functions : ["AWS/Lambda", "Errors", "FunctionName", function.name, { label = "${service} errors" }]],
          [for service, function in var.functions : ["AWS/Lambda", "Throttles", "FunctionName", function.name, { label = "${service} throttles" }]],
          [
            [var.metrics_namespace, "MessagesReturned", "service", "transform"],
            [var.metrics_namespace, "LotsTakenOver", "service", "transform"],
            [var.metrics_namespace, "LotsDissolved", "service", "transform"],
          ],
        ) },
      ]
    },
    {
      question = "What does it cost?"
      answer   = "What AWS counts: computing time, requests, storage."
      charts = [
        { title = "Lambda, GB-seconds", stat = "Sum", lines = concat(
          [for service, function in var.functions : [{
            expression = "duration_${service} / 1000 * ${function.memory_mb} / 1024"
            label      = service
            id         = "gbs_${service}"
          }]],
          [for service, function in var.functions : ["AWS/Lambda", "Duration", "FunctionName", function.name, { id = "duration_${service}", visible = false }]],
        ) },
        { title = "Ledger, capacity units; queue, messages", stat = "Sum", lines = [
          ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", var.ledger_table],
          ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", var.ledger_table],
          ["AWS/SQS", "NumberOfMessagesSent", "QueueName", var.queue_name],
        ] },
        { title = "Storage, bytes (once a day)", stat = "Average", period = 86400, lines = [
          for bucket in [var.bronze_bucket, var.silver_bucket] :
          ["AWS/S3", "BucketSizeBytes", "StorageType", "StandardStorage", "BucketName", bucket, { label = bucket }]
        ] },
      ]
    },
  ]

  widgets = flatten([for n, row in local.rows : concat(
    [{
      type       = "text", x = 0, y = 3 + n * 8, width = 24, height = 2
      properties = { markdown = "## ${row.question}\n${row.answer}" }
    }],
    [for m, chart in row.charts : {
      type = "metric", x = m * 8, y = 3 + n * 8 + 2, width = 8, height = 6
      properties = {
        title   = chart.title
        region  = var.region
        view    = "timeSeries"
        stat    = chart.stat
        period  = try(chart.period, 300)
        metrics = chart.lines
        yAxis   = { left = { min = 0 } }
      }
    }],
  )])

  # Built from names, so that a plan shows the whole dashboard.
  alarm_arn = "arn:${data.aws_partition.current.partition}:cloudwatch:${var.region}:${data.aws_caller_identity.current.account_id}:alarm"

  status = {
    type = "alarm", x = 0, y = 0, width = 24, height = 3
    properties = {
      title = "Alarms"
      alarms = [for alarm in concat(keys(local.simple), ["quarantine", "quarantine-bytes"], var.no_data_hours > 0 ? ["no-data"] : []) :
        "${local.alarm_arn}:${local.name}-${alarm}"
      ]
    }
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = concat([local.status], local.widgets) })
}
