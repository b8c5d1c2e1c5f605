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
  project          = "smelt-test"
  name             = "compact"
  job_name         = "smelt-test-compact"
  description      = "Compacts."
  artifacts_bucket = "artifacts"
  script_key       = "glue/scripts/compact_silver.py"
  core_key         = "glue/current/core.zip"
  wheels_key       = "glue/current/wheels.gluewheels.zip"
  statements       = { Read = { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::silver/silver/*"] } }
}

override_resource {
  target = module.role.aws_iam_role.this
  values = { arn = "arn:aws:iam::123456789012:role/smelt-test-compact" }
}

run "it_runs_on_glue_5_1_and_asks_no_index" {
  command = plan

  assert {
    condition     = aws_glue_job.this.glue_version == "5.1" && aws_glue_job.this.max_retries == 0
    error_message = "The job must run on Glue 5.1, and must not be repeated by Glue."
  }

  assert {
    condition     = aws_glue_job.this.default_arguments["--python-modules-installer-option"] == "--no-index"
    error_message = "pip must not ask an index."
  }

  assert {
    condition = (
      aws_glue_job.this.command[0].script_location == "s3://artifacts/glue/scripts/compact_silver.py" &&
      aws_glue_job.this.default_arguments["--extra-py-files"] == "s3://artifacts/glue/current/core.zip" &&
      aws_glue_job.this.default_arguments["--additional-python-modules"] == "s3://artifacts/glue/current/wheels.gluewheels.zip"
    )
    error_message = "Everything that the job runs must come from the artifacts bucket."
  }

  assert {
    condition     = length(aws_glue_security_configuration.this) == 0
    error_message = "Without a key there is no security configuration."
  }
}

run "with_a_key_what_it_writes_is_encrypted_with_it" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/ours"
  }

  assert {
    condition     = aws_glue_security_configuration.this[0].encryption_configuration[0].cloudwatch_encryption[0].cloudwatch_encryption_mode == "DISABLED"
    error_message = "A key whose policy names no service, as by default, cannot encrypt logs: each run would fail."
  }

  assert {
    condition     = aws_glue_security_configuration.this[0].encryption_configuration[0].s3_encryption[0].kms_key_arn == "arn:aws:kms:us-east-2:123456789012:key/ours"
    error_message = "The key must be used."
  }
}

run "refuses_a_script_that_is_none" {
  command = plan

  variables {
    script_key = "compact_silver.py"
  }

  expect_failures = [var.script_key]
}

run "refuses_wheels_that_glue_would_not_know" {
  command = plan

  variables {
    wheels_key = "glue/wheels.zip"
  }

  expect_failures = [var.wheels_key]
}

run "refuses_a_name_that_glue_refuses" {
  command = plan

  variables {
    job_name = "compact it"
  }

  expect_failures = [var.job_name]
}
