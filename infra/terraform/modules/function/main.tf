# A function from an image, with a role of its own that allows what the function does and nothing else.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  limits = jsondecode(file("${path.module}/../../names.json")).aws_lambda_function

  log_group_arn = format(
    "arn:%s:logs:%s:%s:log-group:/aws/lambda/%s",
    data.aws_partition.current.partition,
    data.aws_region.current.name,
    data.aws_caller_identity.current.account_id,
    var.name,
  )

  logs = {
    OwnLogs = {
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${local.log_group_arn}:log-stream:*"] # streams are named by Lambda
    }
  }
}

module "role" {
  source = "../role"

  name                     = var.name
  description              = var.description
  service                  = "lambda.amazonaws.com"
  from_this_account_only   = false # Lambda sends no aws:SourceAccount when it takes on a function's role
  statements               = merge(var.statements, local.logs)
  unscoped_actions         = var.tracing_enabled ? ["xray:PutTelemetryRecords", "xray:PutTraceSegments"] : []
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.role_tags
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_158: encrypted by CloudWatch with its own keys; logs name objects and offsets, never rows
  # checkov:skip=CKV_AWS_338: the retention is a variable; a year of function logs is seldom worth its price
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_50: on by default (tracing_enabled); checkov does not follow a variable through the platform's object
  # checkov:skip=CKV_AWS_116: an on-failure destination, which also keeps the reason, takes the place of a dead-letter queue
  # checkov:skip=CKV_AWS_117: talks to AWS services only; a VPC would add cost and nothing to reach
  # checkov:skip=CKV_AWS_173: the variables hold names and no secrets; Lambda encrypts them with its own key
  # checkov:skip=CKV_AWS_272: code signing is for zip packages; an image is pinned by its digest
  function_name                  = var.name
  description                    = var.description
  role                           = module.role.arn
  package_type                   = "Image"
  image_uri                      = var.image_uri
  architectures                  = [var.architecture]
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency
  tags                           = var.tags

  environment {
    variables = var.environment
  }

  dynamic "image_config" {
    for_each = length(var.command) == 0 ? [] : [var.command]

    content {
      command = image_config.value
    }
  }

  tracing_config {
    mode = var.tracing_enabled ? "Active" : "PassThrough"
  }

  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.this.name
    application_log_level = var.application_log_level
    system_log_level      = var.system_log_level
  }

  # Without its rights the function's first start would fail; destroyed before them, too.
  depends_on = [module.role]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.on_failure == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = var.on_failure.queue_arn
    }
  }
}
