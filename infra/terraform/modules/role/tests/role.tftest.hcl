mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  name    = "smelt-test-ops-workflow"
  service = "states.amazonaws.com"
}

run "is_taken_on_by_its_service_for_this_account" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement == [{
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = ["123456789012"] } }
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
    }]
    error_message = "Only the service may take the role on, and only for this account."
  }

  assert {
    condition     = length(aws_iam_role_policy.this) == 0 && length(coalesce(aws_iam_role.this.tags, {})) == 0
    error_message = "A role allows nothing and has no tags unless asked."
  }

  assert {
    condition     = output.arn == "arn:aws:iam::123456789012:role/smelt-test-ops-workflow" && output.name == "smelt-test-ops-workflow"
    error_message = "Name and ARN must be known before the role exists."
  }
}

run "limits_the_resources_that_it_is_taken_on_for" {
  command = plan

  variables {
    source_arns      = ["arn:aws:scheduler:us-east-2:123456789012:schedule-group/smelt-test"]
    trust_conditions = { StringLike = { "aws:PrincipalOrgID" = ["o-1"] } }
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == {
      ArnLike      = { "aws:SourceArn" = ["arn:aws:scheduler:us-east-2:123456789012:schedule-group/smelt-test"] }
      StringEquals = { "aws:SourceAccount" = ["123456789012"] }
      StringLike   = { "aws:PrincipalOrgID" = ["o-1"] }
    }
    error_message = "Source ARNs and conditions of the caller's must be added to the account's."
  }
}

run "a_service_that_names_no_account_is_let_in_without" {
  command = plan

  variables {
    service                = "lambda.amazonaws.com"
    from_this_account_only = false
  }

  assert {
    condition     = !can(jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition)
    error_message = "Without conditions there must be no Condition."
  }
}

run "allows_what_it_is_told_under_its_condition" {
  command = plan

  variables {
    statements = {
      ListSome = {
        actions   = ["s3:ListBucket"]
        resources = ["arn:aws:s3:::smelt-test-bronze"]
        condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
      }
      ReadAll = {
        actions   = ["s3:GetObject"]
        resources = ["arn:aws:s3:::smelt-test-bronze/*"]
      }
    }
    unscoped_actions = ["xray:PutTraceSegments"]
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this[0].policy).Statement : statement.Sid] == ["ListSome", "ReadAll", "NoResourcesToName"]
    error_message = "Every statement must reach the policy."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this[0].policy).Statement : lookup(statement, "Condition", null)] == [
      { StringLike = { "s3:prefix" = ["bronze/*"] } },
      null,
      null,
    ]
    error_message = "A statement's condition must reach the policy, and only its own."
  }
}

run "carries_what_the_account_demands" {
  command = plan

  variables {
    name_prefix              = "team-a-"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    tags                     = { team = "a" }
  }

  assert {
    condition     = aws_iam_role.this.name == "team-a-smelt-test-ops-workflow" && output.arn == "arn:aws:iam::123456789012:role/team-a-smelt-test-ops-workflow"
    error_message = "Name and ARN must carry the prefix."
  }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" && aws_iam_role.this.tags.team == "a"
    error_message = "The role must carry the boundary and the tags."
  }
}

run "refuses_wildcards" {
  command = plan

  variables {
    statements = { All = { actions = ["s3:*"], resources = ["arn:aws:s3:::bucket/*"] } }
  }

  expect_failures = [var.statements]
}

run "refuses_actions_without_resources_that_have_some" {
  command = plan

  variables {
    unscoped_actions = ["s3:ListAllMyBuckets"]
  }

  expect_failures = [var.unscoped_actions]
}

run "refuses_a_person_as_a_service" {
  command = plan

  variables {
    service = "arn:aws:iam::123456789012:root"
  }

  expect_failures = [var.service]
}

run "refuses_a_name_that_is_too_long" {
  command = plan

  variables {
    name        = "smelt-test-a-function-with-a-rather-long-name-for-iam"
    name_prefix = "a-prefix-of-the-account-"
  }

  expect_failures = [aws_iam_role.this]
}

run "refuses_a_policy_that_is_longer_than_iam_takes" {
  command = plan

  variables {
    statements = {
      Many = {
        actions   = ["glue:GetTable"]
        resources = [for n in range(150) : "arn:aws:glue:us-east-2:123456789012:table/smelt_test/a_dataset_with_a_long_name_${n}"]
      }
    }
  }

  expect_failures = [aws_iam_role_policy.this]
}
