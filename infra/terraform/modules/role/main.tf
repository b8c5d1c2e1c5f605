# A role that one AWS service takes on, with one inline policy that names each action and each resource.
#
# Its ARN is built from its name, so that a plan shows in full every policy that names the role.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  name    = "${var.name_prefix}${var.name}"
  account = data.aws_caller_identity.current.account_id
  names   = jsondecode(file("${path.module}/../../names.json"))
  limits  = local.names.aws_iam_role

  # Operator -> key -> values. A service that acts for another account, or for another resource, is not let in.
  from_here = var.from_this_account_only ? { StringEquals = { "aws:SourceAccount" = [local.account] } } : {}
  from_arns = length(var.source_arns) == 0 ? {} : { ArnLike = { "aws:SourceArn" = var.source_arns } }
  trust     = merge(local.from_here, local.from_arns, var.trust_conditions)

  named = [for sid, statement in var.statements : merge(
    {
      Sid      = sid
      Effect   = "Allow"
      Action   = statement.actions
      Resource = statement.resources
    },
    length(statement.condition) == 0 ? {} : { Condition = statement.condition },
  )]
  unscoped = length(var.unscoped_actions) == 0 ? [] : [{
    Sid      = "NoResourcesToName"
    Effect   = "Allow"
    Action   = var.unscoped_actions
    Resource = ["*"]
  }]
  allowed = concat(local.named, local.unscoped)
  policy  = jsonencode({ Version = "2012-10-17", Statement = local.allowed })
}

resource "aws_iam_role" "this" {
  name                 = local.name
  description          = var.description
  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Principal = { Service = var.service }
        Action    = "sts:AssumeRole"
      },
      length(local.trust) == 0 ? {} : { Condition = local.trust },
    )]
  })

  lifecycle {
    precondition {
      condition     = length(local.name) <= local.limits.max && can(regex(local.limits.pattern, local.name))
      error_message = "The role's name ${local.name} has ${length(local.name)} characters; IAM takes up to ${local.limits.max} letters, digits and +=,.@_-. Shorten iam_name_prefix or project."
    }
  }
}

resource "aws_iam_role_policy" "this" {
  count = length(local.allowed) == 0 ? 0 : 1

  name   = "allowed"
  role   = aws_iam_role.this.id
  policy = local.policy

  lifecycle {
    precondition {
      condition     = length(local.policy) <= local.names.texts["aws_iam_role_policy.policy"].max
      error_message = "The policy of the role ${local.name} would have ${length(local.policy)} characters; IAM takes ${local.names.texts["aws_iam_role_policy.policy"].max}. It names too many resources, such as a table for each dataset: describe fewer datasets in one deployment."
    }
  }
}
