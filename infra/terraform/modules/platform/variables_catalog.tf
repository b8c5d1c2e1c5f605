variable "catalog" {
  description = "The variables of modules/catalog besides the shared ones and those of the pipeline; enabled: whether there is such a part."
  type = object({
    enabled                = optional(bool, false)
    contracts_dir          = optional(string)
    queries_dir            = optional(string)
    left_out_datasets      = optional(list(string))
    first_day              = optional(string)
    first_load_day         = optional(string)
    silver_prefix          = optional(string)
    table_prefix           = optional(string)
    scan_limit_bytes       = optional(number)
    results_days           = optional(number)
    analyst_policy_enabled = optional(bool)
  })
  default  = {}
  nullable = false
}
