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
  compaction = {
    assets = {
      core            = "glue/1/core.zip"
      wheels          = "glue/wheels/1.gluewheels.zip"
      compact_silver  = "glue/1/compact_silver.py"
      validate_silver = "glue/1/validate_silver.py"
    }
  }
  pipeline = {
    images = {
      ingest    = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ingest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      transform = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/transform@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
      ops       = "123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-test/ops@sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
    }
  }
}

run "leaves_marks_only_where_an_announcer_takes_them_away" {
  command = plan

  variables {
    gate = { enabled = true, workflow_enabled = true, emit_events = true }
  }

  assert {
    condition     = join(",", local.gate_outboxes) == "events" && length(module.gate) == 1 && length(module.ge_job) == 1
    error_message = "Transform must leave marks for the announcer."
  }
}

run "leaves_no_marks_without_an_announcer" {
  command = plan

  variables {
    gate = { enabled = true, workflow_enabled = true }
  }

  assert {
    condition     = length(local.gate_outboxes) == 0
    error_message = "Marks that nobody reads would pile up."
  }
}

run "leaves_no_marks_before_there_is_a_job" {
  command = plan

  variables {
    compaction = {}
    gate       = { enabled = true, workflow_enabled = true, emit_events = true }
  }

  assert {
    condition     = length(local.gate_outboxes) == 0 && length(module.gate) == 0 && length(module.ge_job) == 0 && length(module.artifacts) == 1
    error_message = "Before `make glue-assets` there is a bucket for it, and nothing else."
  }
}

run "events_need_the_workflow" {
  command = plan

  variables {
    gate = { enabled = true, emit_events = true }
  }

  expect_failures = [var.gate]
}

run "the_workflow_needs_the_job" {
  command = plan

  variables {
    gate = { workflow_enabled = true }
  }

  expect_failures = [var.gate]
}

run "the_rule_needs_events" {
  command = plan

  variables {
    gate = { enabled = true, workflow_enabled = true, eventbridge_enabled = true }
  }

  expect_failures = [var.gate]
}
