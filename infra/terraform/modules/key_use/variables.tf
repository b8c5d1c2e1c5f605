variable "uses" {
  description = "Statement id -> the keys' ARNs (an empty one is none), what is done with them, and the services through which it is done, such as s3."
  type = map(object({
    keys     = list(string)
    actions  = list(string)
    services = list(string)
  }))
  nullable = false
}
