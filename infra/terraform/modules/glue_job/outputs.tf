output "name" {
  description = "The job's name."
  value       = aws_glue_job.this.name
}

output "arn" {
  description = "The job's ARN, known before it exists."
  value       = "${local.arn}:glue:${local.here}:job/${var.job_name}"
}

output "role_arn" {
  description = "The ARN of the job's role."
  value       = module.role.arn
}
