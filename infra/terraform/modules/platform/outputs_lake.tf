output "lake" {
  description = "What modules/lake gives; null without it."
  value       = try(module.lake[0], null)
}
