output "uuid" {
  description = "The mapping's id, for pausing it: `aws lambda update-event-source-mapping --uuid ... --no-enabled`."
  value       = aws_lambda_event_source_mapping.this.uuid
}
