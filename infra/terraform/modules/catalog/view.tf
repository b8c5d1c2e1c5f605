# A view as Athena stores it: the SQL and the columns' types, as JSON in Base64. Its SQL is in sql/athena/views.

locals {
  view_sql = trimsuffix(trimspace(replace(file("${local.queries_dir}/views/load_history_files.sql"), "/^(--[^\n]*\n)+/", "")), ";")

  # Column -> its type, as Athena's SQL and as Hive has it.
  view_columns = [
    { name = "object", sql = "varchar", hive = "string", comment = "The object: s3://bucket/key#etag." },
    { name = "dataset", sql = "varchar", hive = "string", comment = "The dataset that the object's key names." },
    { name = "state", sql = "varchar", hive = "string", comment = "DONE." },
    { name = "finished_at", sql = "timestamp(3)", hive = "timestamp", comment = "When it was finished." },
    { name = "lot", sql = "varchar", hive = "string", comment = "The lot that holds rows of the object." },
    { name = "file", sql = "varchar", hive = "string", comment = "A file of the lot, below the Silver bucket. Objects of one lot share its files." },
  ]
}

resource "aws_glue_catalog_table" "files" {
  name          = "load_history_files"
  database_name = aws_glue_catalog_database.this.name
  description   = "In which files the rows of an object are: a view over load_history and load_history_lots."
  table_type    = "VIRTUAL_VIEW"
  parameters    = { presto_view = "true", comment = "Presto View" }

  view_expanded_text = "/* Presto View */"
  view_original_text = "/* Presto View: ${base64encode(jsonencode({
    originalSql = local.view_sql
    catalog     = "awsdatacatalog"
    schema      = local.database
    columns     = [for column in local.view_columns : { name = column.name, type = column.sql }]
  }))} */"

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    dynamic "columns" {
      for_each = local.view_columns

      content {
        name    = columns.value.name
        type    = columns.value.hive
        comment = columns.value.comment
      }
    }
  }
}
