output "lake_publish_function" {
  description = "The function that publishes committed rows into the lake's tables; empty without lake_enabled."
  value       = try(module.platform.lake.functions["publish"].name, "")
}
