mock_provider "aws" {}

variables {
  name = "smelt/ingest"
}

run "never_moves_a_tag_and_scans_what_is_pushed" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Tags must be immutable, and pushes scanned."
  }

  assert {
    condition     = [for rule in jsondecode(aws_ecr_lifecycle_policy.this.policy).rules : rule.selection.tagStatus] == ["untagged"]
    error_message = "No image with a tag may expire: a function may run it."
  }
}

run "refuses_upper_case" {
  command = plan

  variables {
    name = "Smelt/ingest"
  }

  expect_failures = [var.name]
}
