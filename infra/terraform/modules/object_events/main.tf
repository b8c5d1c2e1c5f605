# EventBridge tells a function of every object that is created under a prefix of a bucket, which is not Terraform's and keeps
# its own notifications. Its owner turns EventBridge on for the bucket: infra/terraform/README.md, "A Bronze bucket that exists".

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_cloudwatch_event_rule
}

resource "aws_cloudwatch_event_rule" "this" {
  name        = var.name
  description = "New objects below ${var.prefix} in ${var.bucket_name}"
  tags        = var.tags

  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created"]
    account       = [var.account]
    detail = {
      bucket = { name = [var.bucket_name] }
      object = { key = [{ prefix = var.prefix }] }
    }
  })
}

# No source_account: EventBridge does not send it, so no event would arrive (EventBridge User Guide, "My rule ran but my Lambda
# function wasn't invoked"). The rule's ARN names the account.
resource "aws_lambda_permission" "this" {
  statement_id  = "AllowRule"
  action        = "lambda:InvokeFunction"
  function_name = var.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.this.arn
}

# EventBridge tries for a day; then the event is kept, with the reason.
resource "aws_cloudwatch_event_target" "this" {
  rule = aws_cloudwatch_event_rule.this.name
  arn  = var.function_arn

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = var.undelivered_queue_arn
  }

  depends_on = [aws_lambda_permission.this]
}
