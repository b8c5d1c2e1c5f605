# The catalog: a Glue database with tables over Silver, quarantine and the history that need no crawler, since Athena computes
# their partitions (partition projection). Their columns come from the contracts (columns.tf) and from own_columns.json, which
# tools/own_columns.py writes from the code. Athena's workgroup and queries: athena.tf; for those who want a crawler: crawler.tf.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  arn     = "arn:${data.aws_partition.current.partition}"
  glue    = "${local.arn}:glue:${local.region}:${local.account}"

  database    = replace(var.project, "-", "_")
  own_columns = jsondecode(file("${path.module}/own_columns.json"))
  own_tables  = ["silver", "quarantine", "load_history", "load_history_lots", "load_history_files"] # no dataset's names

  root = "s3://${var.silver_bucket}"

  # Days of silver: rows may be ahead of now, by as much as a contract allows.
  silver_days = "${var.first_day},NOW+${local.days_ahead + 1}DAYS"
  load_days   = "${var.first_load_day},NOW+1DAYS"

  tables = {
    silver = {
      description = "The rows of all datasets, by record_type and day: the union of their columns. Rows are here seconds before they are committed; the lake's tables have committed rows only."
      location    = "${local.root}/silver/"
      template    = "${local.root}/silver/$${record_type}/dt=$${dt}/"
      partitions = [
        { name = "record_type", comment = "The dataset." },
        { name = "dt", comment = "The day of the row's event time, in UTC." },
      ]
      projection = merge(local.by_day, {
        "projection.record_type.type"   = "enum"
        "projection.record_type.values" = join(",", local.datasets)
        "projection.dt.range"           = local.silver_days
      })
      columns = concat(
        [for name in local.column_names : { name = name, type = local.column_types[name], comment = local.comments[name] }],
        local.own_columns.lineage,
      )
    }
    quarantine = {
      description = "The rows that the contracts refuse, with the reason, by dataset and the day on which they were judged."
      location    = "${local.root}/quarantine/"
      template    = "${local.root}/quarantine/$${dataset}/dt=$${dt}/"
      partitions = [
        { name = "dataset", comment = "The dataset, or _unknown for a record_type that no contract describes." },
        { name = "dt", comment = "The day on which the row was judged, in UTC." },
      ]
      projection = merge(local.by_day, {
        "projection.dataset.type"   = "enum"
        "projection.dataset.values" = join(",", concat(local.datasets, sort(var.left_out_datasets), ["_unknown"]))
        "projection.dt.range"       = local.load_days
      })
      columns = local.own_columns.quarantine
    }
    load_history = {
      description = "One row for each time that an object was finished: when, how many rows, what was refused and why."
      location    = "${local.root}/history/objects/"
      template    = "${local.root}/history/objects/dt=$${dt}/"
      partitions  = [{ name = "dt", comment = "The day on which the object was finished, in UTC." }]
      projection  = merge(local.by_day, { "projection.dt.range" = local.load_days })
      columns     = local.own_columns.load_history
    }
    load_history_lots = {
      description = "One row for each generation of a lot, the group of objects that was written together: its units and files."
      location    = "${local.root}/history/lots/"
      template    = "${local.root}/history/lots/dt=$${dt}/"
      partitions  = [{ name = "dt", comment = "The day on which the lot was finished, in UTC." }]
      projection  = merge(local.by_day, { "projection.dt.range" = local.load_days })
      columns     = local.own_columns.load_history_lots
    }
  }

  by_day = {
    "projection.enabled"          = "true"
    "projection.dt.type"          = "date"
    "projection.dt.format"        = "yyyy-MM-dd"
    "projection.dt.interval"      = "1"
    "projection.dt.interval.unit" = "DAYS"
  }
}

resource "aws_glue_catalog_database" "this" {
  name        = local.database
  description = "What ${var.project} has loaded. docs/data-guide.md says which table answers which question."
  tags        = var.tags
}

resource "aws_glue_catalog_table" "this" {
  for_each = local.tables

  name          = each.key
  database_name = aws_glue_catalog_database.this.name
  description   = each.value.description
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(each.value.projection, {
    EXTERNAL                    = "TRUE"
    classification              = "parquet"
    "storage.location.template" = each.value.template
  })

  dynamic "partition_keys" {
    for_each = each.value.partitions

    content {
      name    = partition_keys.value.name
      type    = "string"
      comment = partition_keys.value.comment
    }
  }

  storage_descriptor {
    location      = each.value.location
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
      parameters            = { "serialization.format" = "1" }
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = columns.value.comment
      }
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.datasets) > 0
      error_message = "${local.contracts_dir} holds no contracts (*.yaml). Set contracts_dir to the folder that does."
    }
    precondition {
      condition     = length(local.conflicts) == 0
      error_message = "The table silver has one type for each column, but ${join("; ", local.conflicts)}. Give the field of the newer dataset another name; physicalName says where its value is in the row. Or leave a dataset out of silver with glue_left_out_datasets. `smelt contracts check` says this too."
    }
    precondition {
      condition     = length(setintersection(local.datasets, local.own_tables)) == 0
      error_message = "A dataset has the name of a table: ${join(", ", setintersection(local.datasets, local.own_tables))}. Give it another name; `smelt contracts check` says this too."
    }
    precondition {
      condition     = length([for dataset in local.datasets : dataset if contains(concat(local.datasets, local.own_tables), "${var.table_prefix}${dataset}")]) == 0
      error_message = "With the prefix ${var.table_prefix}, the crawler's tables would have the names of ours or of datasets. Set another glue_table_prefix."
    }
    precondition {
      condition     = length(local.too_deep) == 0
      error_message = "Structs and lists are more than six levels deep: ${join(", ", local.too_deep)}. Store what is inside as JSON text (no physicalType); `smelt contracts check` says this too."
    }
  }
}
