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
  project = "smelt-test"
  pipeline = {
    images = {
      ingest    = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ingest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      transform = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/transform@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    }
  }
}

run "is_the_pipeline_with_its_defaults" {
  command = plan

  assert {
    condition     = output.pipeline.bronze_bucket == "smelt-test-bronze-123456789012-us-east-2"
    error_message = "The pipeline must be there."
  }

  assert {
    condition     = output.artifacts_bucket == ""
    error_message = "There is no bucket for artifacts unless asked."
  }
}

run "has_a_bucket_for_artifacts_if_asked" {
  command = plan

  variables {
    artifacts_bucket_enabled = true
  }

  assert {
    condition     = output.artifacts_bucket == "smelt-test-artifacts-123456789012-us-east-2"
    error_message = "The bucket must be unique by account and region."
  }

  assert {
    condition     = contains(output.managed_buckets, output.artifacts_bucket) && length(output.managed_buckets) == 3
    error_message = "It must be emptied before everything is destroyed."
  }
}

run "has_policies_for_operators_if_asked" {
  command = plan

  variables {
    operator_policies_enabled = true
  }

  assert {
    condition     = length(module.operator_policies[0].arns) == 4
    error_message = "There must be four policies."
  }
}

run "has_tables_if_asked" {
  command = plan

  variables {
    catalog = {
      enabled       = true
      contracts_dir = "../catalog/tests/contracts/good"
      queries_dir   = "../catalog/tests/queries"
    }
  }

  assert {
    condition     = output.catalog.database_name == "smelt_test" && output.catalog.crawler == "smelt-test-silver"
    error_message = "The catalog must be named after the project."
  }

  assert {
    condition     = contains(output.managed_buckets, "smelt-test-athena-123456789012-us-east-2")
    error_message = "The results' bucket must be emptied before everything is destroyed."
  }
}
