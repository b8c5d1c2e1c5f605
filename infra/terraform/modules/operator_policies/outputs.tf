output "arns" {
  description = "Policy (read, redrive, replay, retract) -> its ARN."
  value       = { for name, policy in aws_iam_policy.this : name => policy.arn }
}
