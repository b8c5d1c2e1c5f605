output "catalog" {
  description = "The outputs of modules/catalog; null without it."
  value       = one(module.catalog)
}
