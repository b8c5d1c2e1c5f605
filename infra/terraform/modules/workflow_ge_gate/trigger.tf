# What starts the workflow by itself. The announcer runs on a schedule and sends one event for a written partition; the rule
# starts an execution for each event of this pipeline.

locals {
  bus_arn       = "${local.arn}:events:${local.region}:${local.account}:event-bus/default"
  rule_arn      = "${local.arn}:events:${local.region}:${local.account}:rule/${local.name}"
  schedule_name = "${var.project}-ge-announce"
}

resource "aws_scheduler_schedule_group" "this" {
  count = var.emit_events ? 1 : 0

  name = local.schedule_name
  tags = var.tags
}

module "scheduler_role" {
  source = "../role"
  count  = var.emit_events ? 1 : 0

  name                     = "${local.schedule_name}-scheduler"
  description              = "Starts ${local.schedule_name}."
  service                  = "scheduler.amazonaws.com"
  source_arns              = ["${local.arn}:scheduler:${local.region}:${local.account}:schedule-group/${local.schedule_name}"]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = {
    InvokeAnnouncer = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arns["announce"]]
    }
  }
}

resource "aws_scheduler_schedule" "announce" {
  # checkov:skip=CKV_AWS_297: a schedule holds no data; AWS encrypts it with its own key
  count = var.emit_events ? 1 : 0

  name                = local.schedule_name
  description         = "Announces written partitions"
  group_name          = aws_scheduler_schedule_group.this[0].name
  schedule_expression = var.schedule_expression

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.function_arns["announce"]
    role_arn = module.scheduler_role[0].arn
    input    = "{}"

    # A run that is missed is made up for by the next one.
    retry_policy {
      maximum_event_age_in_seconds = 60
      maximum_retry_attempts       = 0
    }
  }

  depends_on = [module.scheduler_role, module.function]
}

resource "aws_cloudwatch_event_rule" "written" {
  count = var.eventbridge_enabled ? 1 : 0

  name        = local.name
  description = "Partitions of Silver that ${var.project} has written"
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["smelt"]
    detail-type = ["Silver partition written"]
    detail      = { pipeline = [var.project] }
  })
}

module "rule_role" {
  source = "../role"
  count  = var.eventbridge_enabled ? 1 : 0

  name                     = "${local.name}-rule"
  description              = "Starts ${local.name} for a written partition."
  service                  = "events.amazonaws.com"
  source_arns              = [local.rule_arn]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = {
    StartWorkflow = {
      actions   = ["states:StartExecution"]
      resources = [local.machine_arn]
    }
  }
}

resource "aws_cloudwatch_event_target" "workflow" {
  count = var.eventbridge_enabled ? 1 : 0

  rule     = aws_cloudwatch_event_rule.written[0].name
  arn      = aws_sfn_state_machine.this.arn
  role_arn = module.rule_role[0].arn

  input_transformer {
    input_paths = {
      record_type = "$.detail.record_type"
      dt          = "$.detail.dt"
    }
    input_template = "{\"record_type\": <record_type>, \"dt\": <dt>}"
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}
