output "name" {
  description = "The role's name."
  value       = aws_iam_role.this.name
}

output "arn" {
  description = "The role's ARN, known before the role exists. Whatever is created with it needs `depends_on` of this module."
  value       = "arn:${data.aws_partition.current.partition}:iam::${local.account}:role/${local.name}"
}
