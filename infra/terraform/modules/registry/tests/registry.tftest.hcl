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
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[1].selection.countNumber == 50
    error_message = "The newest 50 images are kept by default."
  }
}

run "refuses_to_keep_nothing_to_roll_back_to" {
  command = plan

  variables {
    keep_images = 1
  }

  expect_failures = [var.keep_images]
}

run "refuses_upper_case" {
  command = plan

  variables {
    name = "Smelt/ingest"
  }

  expect_failures = [var.name]
}
