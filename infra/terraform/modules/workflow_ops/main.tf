# The operators' part: the functions of the image `smelt-ops`, the state machine that replays and checks, and the schedules.
# What each function may do is in functions.tf; alarms are in alarms.tf.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  limits   = jsondecode(file("${path.module}/../../names.json"))
  schedule = local.limits.texts["aws_scheduler_schedule.schedule_expression"]

  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"

  name        = "${var.project}-ops"
  machine     = "${var.project}-${var.workflow_id}"
  machine_arn = "${local.arn}:states:${local.region}:${local.account}:stateMachine:${local.machine}"

  function_arns = {
    for function in keys(local.functions) :
    function => "${local.arn}:lambda:${local.region}:${local.account}:function:${local.name}-${function}"
  }
}

# ---- the state machine ------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "workflow" {
  # checkov:skip=CKV_AWS_158: encrypted by CloudWatch with its own keys; executions name objects, never rows
  # checkov:skip=CKV_AWS_338: the retention is a variable; a year of logs is seldom worth its price
  name              = "/aws/vendedlogs/states/${local.machine}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

module "workflow_role" {
  source = "../role"

  name                     = "${local.name}-workflow"
  description              = "What the state machine ${local.machine} may do."
  service                  = "states.amazonaws.com"
  source_arns              = [local.machine_arn]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = {
    RunTasks = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arns["replay"], local.function_arns["probe"]]
    }
  }

  # Step Functions writes its logs through deliveries, for which there are no resources to name (Step Functions Developer Guide,
  # "Using CloudWatch Logs to log execution history").
  unscoped_actions = concat(
    [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
    ],
    var.tracing_enabled ? [
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ] : [],
  )
}

resource "aws_sfn_state_machine" "this" {
  # checkov:skip=CKV_AWS_284: on by default (tracing_enabled); checkov does not follow a variable through the platform's object
  name     = local.machine
  role_arn = module.workflow_role.arn
  tags     = var.tags

  # The document is valid as it is, which names the integrations of the usual partition; executions of another refuse them.
  definition = replace(templatefile("${path.module}/ops.asl.json", {
    replay_function_arn = local.function_arns["replay"]
    probe_function_arn  = local.function_arns["probe"]
  }), "arn:aws:states:::", "${local.arn}:states:::")

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true # names of objects and counts
    log_destination        = "${aws_cloudwatch_log_group.workflow.arn}:*"
  }

  tracing_configuration {
    enabled = var.tracing_enabled
  }

  # AWS checks the role's right to write logs when the machine is created.
  depends_on = [module.workflow_role, module.function]
}

# ---- schedules --------------------------------------------------------------------------------------------------------

locals {
  # Schedule -> what it starts, how often, and with which input.
  schedules = merge(
    {
      for function, schedule in {
        sweep   = { expression = var.sweep_schedule_expression, input = {} }
        archive = { expression = var.archive_schedule_expression, input = {} }
        # All of Bronze is listed; what the ledger says is asked of two days only, which costs a read for each object.
        reconcile = { expression = var.reconcile_schedule_expression, input = { window_hours = 48 } }
        } : function => {
        expression = schedule.expression
        target     = local.function_arns[function]
        input      = schedule.input
      } if schedule.expression != ""
    },
    var.schedule_enabled ? {
      workflow = {
        expression = var.schedule_expression
        target     = local.machine_arn
        input = merge(
          {
            bronze_bucket         = var.bronze_bucket
            src_prefix            = "bronze/shipments/"
            dest_prefix_base      = "bronze/replay/scheduled"
            silver_bucket         = var.silver_bucket
            silver_prefix         = "silver"
            record_type           = "shipments"
            min_parquet_objects   = 1
            poll_interval_seconds = 30
            max_attempts          = 20
          },
          contains(keys(var.schedule_input), "start") ? {} : { window_hours = 24 },
          var.schedule_input,
        )
      }
    } : {},
  )
}

resource "aws_scheduler_schedule_group" "this" {
  count = length(local.schedules) == 0 ? 0 : 1

  name = local.name
  tags = var.tags
}

module "scheduler_role" {
  source = "../role"
  count  = length(local.schedules) == 0 ? 0 : 1

  name                     = "${local.name}-scheduler"
  description              = "What the schedules of ${local.name} start."
  service                  = "scheduler.amazonaws.com"
  source_arns              = ["${local.arn}:scheduler:${local.region}:${local.account}:schedule-group/${local.name}"]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = merge(
    length(setsubtract(keys(local.schedules), ["workflow"])) == 0 ? {} : {
      InvokeFunctions = {
        actions   = ["lambda:InvokeFunction"]
        resources = [for name, schedule in local.schedules : schedule.target if name != "workflow"]
      }
    },
    var.schedule_enabled ? {
      StartWorkflow = {
        actions   = ["states:StartExecution"]
        resources = [local.machine_arn]
      }
    } : {},
  )
}

resource "aws_scheduler_schedule" "this" {
  # checkov:skip=CKV_AWS_297: a schedule holds names of buckets and a prefix; AWS encrypts it with its own key
  for_each = local.schedules

  name                = "${local.name}-${each.key}"
  description         = "Starts ${each.value.target}"
  group_name          = aws_scheduler_schedule_group.this[0].name
  schedule_expression = each.value.expression

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = each.value.target
    role_arn = module.scheduler_role[0].arn
    input    = jsonencode(each.value.input)

    # A run that is missed is made up for by the next one, which goes on where the last one stopped.
    retry_policy {
      maximum_event_age_in_seconds = 300
      maximum_retry_attempts       = 3
    }
  }

  depends_on = [module.scheduler_role, module.function, aws_sfn_state_machine.this]
}
