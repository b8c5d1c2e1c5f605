variable "lake" {
  description = "The lake's Iceberg tables; enabled: whether there are any. They need the catalog's database."
  type = object({
    enabled                      = optional(bool, false)
    publish_schedule_expression  = optional(string)
    maintain_schedule_expression = optional(string)
    alarm_lag_seconds            = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = !var.lake.enabled || var.catalog.enabled
    error_message = "lake_enabled needs glue_enabled: the tables are in its database."
  }

  validation {
    condition     = !var.lake.enabled || var.ops.enabled
    error_message = "lake_enabled needs ops_enabled: its sweep deletes what rewrites have replaced, once the lake has taken it over."
  }
}
