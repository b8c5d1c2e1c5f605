# The quality gate's workflow: plans a run, runs the Glue job, ends the run, tells whoever is to be told. And, if asked, what
# starts it by itself: the announcer of written partitions, and the rule that listens to it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"

  name        = "${var.project}-ge-gate"
  machine_arn = "${local.arn}:states:${local.region}:${local.account}:stateMachine:${local.name}"
  job_arn     = "${local.arn}:glue:${local.region}:${local.account}:job/${var.job_name}"

  function_arns = {
    for function in keys(local.functions) :
    function => "${local.arn}:lambda:${local.region}:${local.account}:function:${var.project}-ge-${function}"
  }
}

resource "aws_cloudwatch_log_group" "workflow" {
  # checkov:skip=CKV_AWS_158: encrypted by CloudWatch with its own keys; causes name rules and counts, and no value of a row
  # checkov:skip=CKV_AWS_338: the retention is a variable; a year of logs is seldom worth its price
  name              = "/aws/vendedlogs/states/${local.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

module "workflow_role" {
  source = "../role"

  name                     = "${local.name}-workflow"
  description              = "What the state machine ${local.name} may do."
  service                  = "states.amazonaws.com"
  source_arns              = [local.machine_arn]
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = merge(
    {
      RunTasks = {
        actions   = ["lambda:InvokeFunction"]
        resources = [local.function_arns["gate"]]
      }
      # As Step Functions needs them to run a job and to wait for its end (Step Functions Developer Guide, "Start an AWS Glue job").
      RunJob = {
        actions   = ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"]
        resources = [local.job_arn]
      }
    },
    var.topic_arn == "" ? {} : {
      TellPeople = {
        actions   = ["sns:Publish"]
        resources = [var.topic_arn]
      }
    },
    { for sid, statement in module.key_use.statements : sid => statement if sid == "UseKeyOfTopic" },
  )

  # Deliveries of logs have no resources to name (Step Functions Developer Guide, "Logging using CloudWatch Logs").
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
  name     = local.name
  role_arn = module.workflow_role.arn
  tags     = var.tags

  # The document is valid as it is, which names the integrations of the usual partition; executions of another refuse them.
  definition = replace(templatefile("${path.module}/gate.asl.json", {
    gate_function_arn = local.function_arns["gate"]
    job_name          = var.job_name
    topic_arn         = var.topic_arn
  }), "arn:aws:states:::", "${local.arn}:states:::")

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true # names of partitions and files, rules and counts
    log_destination        = "${aws_cloudwatch_log_group.workflow.arn}:*"
  }

  tracing_configuration {
    enabled = var.tracing_enabled
  }

  # AWS checks the role's right to write logs when the machine is created.
  depends_on = [module.workflow_role, module.function]
}
