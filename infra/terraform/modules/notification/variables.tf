variable "bucket_name" {
  description = "The bucket whose objects are announced. A bucket has one notification configuration; this module owns it."
  type        = string
}

variable "bucket_arn" {
  description = "The bucket's ARN."
  type        = string
}

variable "account" {
  description = "The account that bucket and function belong to: a bucket of the same name in another account may not invoke."
  type        = string
}

variable "prefix" {
  description = "Only objects under this prefix are announced."
  type        = string
}

variable "function_name" {
  description = "The function that is told."
  type        = string
}

variable "function_arn" {
  description = "Its ARN."
  type        = string
}

variable "eventbridge" {
  description = "Whether the bucket sends its events to EventBridge too, for rules of your own."
  type        = bool
  default     = false
  nullable    = false
}
