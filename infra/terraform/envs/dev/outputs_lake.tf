output "lake_publish_function" {
  description = "The function that publishes committed rows into the lake's tables; empty without lake_enabled."
  value       = try(module.platform.lake.functions["publish"].name, "")
}

output "lake_database" {
  description = "The Glue database of the lake's tables, which commands look at; empty without lake_enabled."
  value       = try(module.platform.lake.database, "")
}
