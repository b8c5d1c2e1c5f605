# Names: which are taken, and which no service would take.

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
  images = {
    ingest    = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ingest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    transform = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/transform@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  }
}

run "own_bucket_names" {
  command = plan

  variables {
    bronze_bucket_name = "our-raw-data"
    silver_bucket_name = "our-tables"
  }

  assert {
    condition     = local.bronze_bucket == "our-raw-data" && local.silver_bucket == "our-tables"
    error_message = "Given bucket names must be used."
  }
}

run "refuses_a_project_that_no_bucket_could_be_named_after" {
  command = plan

  variables {
    project = "Smelt_Dev"
  }

  expect_failures = [var.project]
}

run "refuses_one_bucket_for_both" {
  command = plan

  variables {
    bronze_bucket_name = "one-bucket"
    silver_bucket_name = "one-bucket"
  }

  expect_failures = [var.silver_bucket_name]
}

run "refuses_a_project_that_ecr_would_refuse" {
  command = plan

  variables {
    project = "a--b"
  }

  expect_failures = [var.project]
}

run "refuses_a_project_that_is_too_long_for_a_bucket" {
  command = plan

  variables {
    project = "abcdefghijklmnopqrstuvwxy"
  }

  expect_failures = [var.project]
}

run "refuses_a_project_with_a_prefix_that_s3_keeps" {
  command = plan

  variables {
    project = "sthree-smelt"
  }

  expect_failures = [var.project]
}
