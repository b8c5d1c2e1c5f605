# The contracts' columns as Glue has them: Hive types, read from the contract files themselves.
#
# services/shared/athena.py says the same in Python; tests/integration/test_catalog_columns.py compares the two, field by field.

locals {
  contracts_dir = coalesce(var.contracts_dir, "${path.module}/../../../../contracts")

  documents = [for file in fileset(local.contracts_dir, "*.yaml") : yamldecode(file("${local.contracts_dir}/${file}"))]
  schemas = { # by dataset
    for document in local.documents : document.schema[0].name => document.schema[0]
    if !contains(var.left_out_datasets, document.schema[0].name)
  }
  datasets = sort(keys(local.schemas))

  # What a field is stored as that is no decimal, struct or list; arrays and objects are JSON text then.
  scalars = {
    string    = "string"
    integer   = "bigint"
    number    = "double"
    boolean   = "boolean"
    date      = "date"
    timestamp = "timestamp"
    array     = "string"
    object    = "string"
  }
  decimal = "^decimal\\((\\d+),(\\d+)\\)$"

  # ---- fields, level by level: the columns, what is in them, what is in that. Terraform has no recursion, so each level
  # is written out. `stored` is the physicalType.
  level_0 = [for one in flatten([for dataset in local.datasets : [
    for field in local.schemas[dataset].properties : { path = "${dataset}.${field.name}", name = field.name, field = field }
  ]]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_1 = [for one in flatten([for above in local.level_0 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_2 = [for one in flatten([for above in local.level_1 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_3 = [for one in flatten([for above in local.level_2 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_4 = [for one in flatten([for above in local.level_3 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_5 = [for one in flatten([for above in local.level_4 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  level_6 = [for one in flatten([for above in local.level_5 : concat(
    [for field in try(above.field.properties, []) : { path = "${above.path}.${field.name}", field = field } if above.stored == "struct"],
    [for field in try([above.field.items], []) : { path = "${above.path}.element", field = field } if above.stored == "array"],
  )]) : merge(one, { stored = try(lower(one.field.physicalType), "") })]

  # ---- the types, from the innermost level outwards: path -> Hive type. Hive knows no capitals, also inside structs.
  # Readers of Parquet find a field whatever the case of its name.
  types_6 = { for one in local.level_6 : one.path => try(
    "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
    local.scalars[one.field.logicalType],
  ) }

  types_5 = { for one in local.level_5 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_6["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_6["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  types_4 = { for one in local.level_4 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_5["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_5["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  types_3 = { for one in local.level_3 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_4["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_4["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  types_2 = { for one in local.level_2 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_3["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_3["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  types_1 = { for one in local.level_1 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_2["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_2["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  types_0 = { for one in local.level_0 : one.path => (
    one.stored == "struct" ? "struct<${join(",", [for field in one.field.properties : "${lower(field.name)}:${local.types_1["${one.path}.${field.name}"]}"])}>" :
    one.stored == "array" ? "array<${local.types_1["${one.path}.element"]}>" :
    try(
      "decimal(${join(",", regex(local.decimal, replace(one.stored, " ", "")))})",
      local.scalars[one.field.logicalType],
    )
  ) }

  too_deep = [for one in local.level_6 : one.path if contains(["struct", "array"], one.stored)]

  # ---- the union of all datasets' columns, by name: a table has one type for each
  contract_columns = flatten([for dataset in local.datasets : [for field in local.schemas[dataset].properties : {
    dataset     = dataset
    name        = field.name
    type        = local.types_0["${dataset}.${field.name}"]
    description = try(trimspace(replace(field.description, "/\\s+/", " ")), "")
  }]])
  column_names = distinct(local.contract_columns[*].name)
  columns      = { for column in local.contract_columns : column.name => column... }

  # Decimals that differ only in the digits before the point are the widest of them.
  column_types = { for name, same in local.columns : name => (
    length(distinct(same[*].type)) == 1 ? same[0].type :
    "decimal(${max([for one in same : try(tonumber(regex(local.decimal, one.type)[0]), 0)]...)},${try(regex(local.decimal, same[0].type)[1], 0)})"
  ) }
  conflicts = [
    for name, same in local.columns : "${name} is ${join(", ", [for one in same : "${one.type} in ${one.dataset}"])}"
    if length(distinct([for one in same : replace(one.type, "/^decimal\\(\\d+,/", "decimal(")])) > 1
  ]

  # Which datasets have the column, and what it means there. Glue takes 255 bytes, which are 340 characters in Base64; a character
  # has four bytes at most.
  long_comments = { for name, same in local.columns : name => substr(
    "${join(", ", same[*].dataset)}: ${join(" / ", distinct(compact(same[*].description)))}", 0, 250,
  ) }
  comments = { for name, text in local.long_comments : name => length(base64encode(text)) <= 340 ? text : substr(text, 0, 63) }

  # Hours (PT6H) and days (P1D) that a row may be ahead of its object, in whole days.
  days_ahead = max(0, [for schema in values(local.schemas) : max(0, [
    for custom in try(schema.customProperties, []) : ceil(
      try(tonumber(regex("^P(\\d+)D$", custom.value)[0]), 0) + try(tonumber(regex("^PT(\\d+)H$", custom.value)[0]), 0) / 24
    ) if custom.property == "maxAhead"
  ]...)]...)
}
