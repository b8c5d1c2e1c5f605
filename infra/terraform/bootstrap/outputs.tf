output "repositories" {
  description = "Function -> its repository's URL."
  value       = { for function, registry in module.registry : function => registry.url }
}

output "region" {
  description = "The region that the repositories are in."
  value       = var.region
}
