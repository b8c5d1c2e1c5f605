mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-2" }
  }
}

variables {
  project           = "smelt-test"
  silver_bucket     = "silver-bucket"
  silver_bucket_arn = "arn:aws:s3:::silver-bucket"
  contracts_dir     = "tests/contracts/good"
  queries_dir       = "tests/queries"
}

run "tables_have_the_contracts_columns_and_ours" {
  command = plan

  assert {
    condition = { for column in aws_glue_catalog_table.this["silver"].storage_descriptor[0].columns : column.name => column.type } == {
      at       = "timestamp"
      id       = "string"
      price    = "decimal(12,2)"
      paid     = "boolean"
      count    = "bigint"
      share    = "double"
      born     = "date"
      tags     = "string"
      customer = "struct<id:bigint,hometown:string,tags:array<string>>"
      lines    = "array<struct<sku:string,price:decimal(8,2),parts:array<struct<name:string,raw:string>>>>"
      _source  = "string"
      _offset  = "bigint"
      _created = "timestamp"
      _rescued = "string"
    }
    error_message = "silver must have the union of the contracts' columns, then the lineage."
  }

  assert {
    condition     = [for column in aws_glue_catalog_table.this["silver"].storage_descriptor[0].columns : column.comment if column.name == "at"] == ["orders, parcels: When."]
    error_message = "A comment must name the datasets and say what the column means."
  }

  assert {
    condition     = alltrue([for column in aws_glue_catalog_table.this["silver"].storage_descriptor[0].columns : length(base64encode(column.comment)) <= 340])
    error_message = "Glue takes 255 bytes of a comment, whatever its characters."
  }

  assert {
    condition     = startswith(jsondecode(base64decode(regex("Presto View: (\\S+) ", aws_glue_catalog_table.files.view_original_text)[0])).originalSql, "SELECT outcome.object")
    error_message = "A view must be stored as Athena stores it, without the file's comment."
  }

  assert {
    condition     = aws_glue_catalog_table.this["quarantine"].storage_descriptor[0].columns[0].name == "record_type"
    error_message = "quarantine must have its own columns."
  }
}

run "partitions_are_computed" {
  command = plan

  variables {
    first_day      = "2024-05-01"
    first_load_day = "2025-06-01"
  }

  assert {
    condition     = aws_glue_catalog_table.this["silver"].parameters["projection.dt.range"] == "2024-05-01,NOW+4DAYS"
    error_message = "The days must begin at first_day, and end as far ahead as a contract allows and one more."
  }

  assert {
    condition     = aws_glue_catalog_table.this["silver"].parameters["projection.record_type.values"] == "orders,parcels"
    error_message = "Every dataset must be a partition."
  }

  assert {
    condition     = aws_glue_catalog_table.this["silver"].parameters["storage.location.template"] == "s3://silver-bucket/silver/$${record_type}/dt=$${dt}/"
    error_message = "The template must say where a partition is."
  }

  assert {
    condition     = aws_glue_catalog_table.this["quarantine"].parameters["projection.dataset.values"] == "orders,parcels,_unknown"
    error_message = "Rows of unknown datasets must be seen too."
  }

  assert {
    condition     = aws_glue_catalog_table.this["load_history"].parameters["projection.dt.range"] == "2025-06-01,NOW+1DAYS"
    error_message = "The history must begin at first_load_day."
  }
}

run "queries_have_a_limit_and_results_expire" {
  command = plan

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration && aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 107374182400
    error_message = "Nobody may override the limit."
  }

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_S3"
    error_message = "Results must be encrypted."
  }

  assert {
    condition     = aws_athena_named_query.this["first"].description == "How many rows there are." && aws_athena_named_query.this["first"].database == "smelt_test"
    error_message = "A query's first line must be its description."
  }

  assert {
    condition     = length(aws_iam_policy.analyst) == 0
    error_message = "There must be no policy unless asked."
  }
}

run "with_a_key_results_are_encrypted_with_it" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/1"
  }

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == "arn:aws:kms:us-east-2:123456789012:key/1"
    error_message = "Results must be encrypted with the key."
  }
}

run "two_types_of_one_name_are_refused" {
  command = plan

  variables {
    contracts_dir = "tests/contracts/conflict"
  }

  expect_failures = [aws_glue_catalog_table.this]
}

run "a_dataset_may_be_left_out" {
  command = plan

  variables {
    contracts_dir     = "tests/contracts/conflict"
    left_out_datasets = ["parcels"]
  }

  assert {
    condition     = aws_glue_catalog_table.this["silver"].parameters["projection.record_type.values"] == "orders" && aws_glue_catalog_table.this["quarantine"].parameters["projection.dataset.values"] == "orders,parcels,_unknown"
    error_message = "silver must be without it; its refused rows are seen all the same."
  }
}

run "a_dataset_with_the_name_of_a_table_is_refused" {
  command = plan

  variables {
    contracts_dir = "tests/contracts/reserved"
  }

  expect_failures = [aws_glue_catalog_table.this]
}

run "crawler_tables_never_have_our_names" {
  command = plan

  variables {
    table_prefix  = "load_"
    contracts_dir = "tests/contracts/history"
  }

  expect_failures = [aws_glue_catalog_table.this]
}

run "a_prefix_is_needed" {
  command = plan

  variables {
    table_prefix = ""
  }

  expect_failures = [var.table_prefix]
}

run "what_is_too_deep_is_refused" {
  command = plan

  variables {
    contracts_dir = "tests/contracts/deep"
  }

  expect_failures = [aws_glue_catalog_table.this]
}

run "a_folder_without_contracts_is_refused" {
  command = plan

  variables {
    contracts_dir = "tests/queries"
  }

  expect_failures = [aws_glue_catalog_table.this]
}

run "a_first_day_must_be_a_day" {
  command = plan

  variables {
    first_day = "2024-02-30"
  }

  expect_failures = [var.first_day]
}
