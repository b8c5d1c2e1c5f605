mock_provider "aws" {}

variables {
  name = "smelt-test-bronze"
}

run "is_called_as_asked" {
  command = plan

  assert {
    condition     = output.name == "smelt-test-bronze"
    error_message = "The bucket must have the name that is given."
  }
}

run "refuses_a_name_that_s3_would_refuse" {
  command = plan

  variables {
    name = "Smelt_Bronze"
  }

  expect_failures = [var.name]
}
