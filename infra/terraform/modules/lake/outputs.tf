output "functions" {
  description = "Function (publish, maintain) -> its name, ARN, log group, and its role's name and ARN."
  value = {
    for function, made in module.function : function => {
      name      = made.name
      arn       = made.arn
      log_group = made.log_group
      role_name = made.role_name
      role_arn  = made.role_arn
    }
  }
}

output "database" {
  description = "The Glue database of the tables."
  value       = var.database
}

output "table_arns" {
  description = "What a policy names that reads the tables: the catalog, the database and its tables."
  value       = ["${local.glue}:catalog", "${local.glue}:database/${var.database}", "${local.glue}:table/${var.database}/*"]
}
