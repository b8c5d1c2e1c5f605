output "statements" {
  description = "Statement id -> actions, resources and condition, as modules/role takes them. Uses without a key are left out."
  value = {
    for sid, use in var.uses : sid => {
      actions   = use.actions
      resources = compact(use.keys)
      condition = { StringEquals = { "kms:ViaService" = flatten([
        for service in use.services : [for suffix in local.suffixes : "${service}.${local.region}.${suffix}"]
      ]) } }
    } if length(compact(use.keys)) > 0
  }
}
