output "bucket" {
  description = "The bucket's name, for backend/backend.hcl."
  value       = aws_s3_bucket.state.bucket
}
