# Who may put messages into a queue: the named principals and nobody else, and only by TLS. Creates nothing; gives the two
# policies as JSON, for a queue that Terraform makes and for one that exists already.
#
# Every statement is a Deny. In a queue's own account the right to send comes from identity policies; this limits them, an
# administrator's too. Whoever may change the queue's policy (sqs:SetQueueAttributes) can still lift the limit.

locals {
  takes_redrives = length(var.redrive_source_arns) > 0

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
      { ArnNotLike = { "aws:PrincipalArn" = var.sender_arns } },
      # SQS itself moves messages to a dead-letter queue. AWS does not document whether this asks the queue's policy; if it
      # does, it must not be refused. It opens nothing to other services: no statement allows them.
      local.takes_redrives ? { BoolIfExists = { "aws:PrincipalIsAWSService" = "false" } } : {},
    )
  }
}
