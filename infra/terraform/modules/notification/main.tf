# A bucket tells a function of every object that is created under a prefix; EventBridge, if asked, of everything.

resource "aws_lambda_permission" "this" {
  statement_id   = "AllowBucket"
  action         = "lambda:InvokeFunction"
  function_name  = var.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = var.bucket_arn
  source_account = var.account
}

resource "aws_s3_bucket_notification" "this" {
  bucket      = var.bucket_name
  eventbridge = var.eventbridge

  lambda_function {
    lambda_function_arn = var.function_arn
    events              = ["s3:ObjectCreated:*"]
    filter_prefix       = var.prefix
  }

  depends_on = [aws_lambda_permission.this]
}
