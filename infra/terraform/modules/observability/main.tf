# Who is told, and by which topic. The alarms are in alarms.tf, the dashboard in dashboard.tf.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # Dashboards belong to the account, not to a region: two pipelines of one name, in two regions, need two names.
  name = "${var.name}-${var.region}"

  creates_topic = var.notification_topic_arn == ""
  topic_arn     = local.creates_topic ? aws_sns_topic.alarms[0].arn : var.notification_topic_arn
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26: CloudWatch cannot publish through the AWS-managed key; alarms carry no rows
  count = local.creates_topic ? 1 : 0

  name = "${local.name}-alarms"
  tags = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  count = local.creates_topic ? 1 : 0

  arn = aws_sns_topic.alarms[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms[0].arn
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
