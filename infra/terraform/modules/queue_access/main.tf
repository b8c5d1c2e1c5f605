# Who may put messages into a queue: the named principals and nobody else, and only by TLS. Creates nothing; gives the two
# policies as JSON, for a queue that Terraform makes and for one that exists already.
#
# In a queue's own account the right to send comes from identity policies; the Deny limits them, an administrator's too.
# Only EventBridge, which has no identity policies, is allowed here, for the rules that are named. Whoever may change the queue's policy (sqs:SetQueueAttributes) can still lift the limit.

locals {
  takes_redrives = length(var.redrive_source_arns) > 0
  limit          = jsondecode(file("${path.module}/../../names.json")).texts["aws_sqs_queue_policy.policy"].max
  policy         = jsonencode({ Version = "2012-10-17", Statement = concat([local.tls_only, local.only_these_send], local.rules_send) })

  tls_only = {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Resource  = var.queue_arn
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  # aws:PrincipalArn is the ARN of the role, also for a session of it. ArnNotLike is true where the key is missing, so an
  # anonymous request is refused, and a service that has no Allow here anyway.
  only_these_send = {
    Sid       = "OnlyTheseSend"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:SendMessage"
    Resource  = var.queue_arn
    Condition = merge(
      # Both keys must not match: a rule is named by aws:SourceArn, which only a service's request carries.
      { ArnNotLike = merge({ "aws:PrincipalArn" = var.sender_arns }, length(var.sender_rule_arns) == 0 ? {} : { "aws:SourceArn" = var.sender_rule_arns }) },
      # SQS itself moves messages to a dead-letter queue. AWS does not document whether this asks the queue's policy; if it
      # does, it must not be refused. It opens nothing to other services: no statement allows them.
      local.takes_redrives ? { BoolIfExists = { "aws:PrincipalIsAWSService" = "false" } } : {},
    )
  }

  rules_send = length(var.sender_rule_arns) == 0 ? [] : [{
    Sid       = "RulesSend"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = var.queue_arn
    Condition = { ArnEquals = { "aws:SourceArn" = var.sender_rule_arns } }
  }]
}
