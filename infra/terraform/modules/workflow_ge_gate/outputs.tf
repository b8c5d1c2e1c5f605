output "state_machine_arn" {
  description = "The state machine's ARN, for starting executions."
  value       = aws_sfn_state_machine.this.arn
}

output "functions" {
  description = "Function (gate, announce) -> its name, ARN, log group, and its role's name and ARN."
  value = {
    for function, made in module.function : function => {
      name      = made.name
      arn       = made.arn
      log_group = made.log_group
      role_name = made.role_name
      role_arn  = made.role_arn
    }
  }
}

output "log_group" {
  description = "The name of the state machine's log group."
  value       = aws_cloudwatch_log_group.workflow.name
}

output "event_rule" {
  description = "The rule that starts the workflow for written partitions; empty without eventbridge_enabled."
  value       = one(aws_cloudwatch_event_rule.written[*].name) == null ? "" : aws_cloudwatch_event_rule.written[0].name
}
