# The functions: one image, a handler and a role each. Every statement names what the code of that function calls;
# tests/integration/test_least_privilege.py compares them with the code.

locals {
  timeout_seconds = 900 # Lambda's limit; each function stops in time and goes on in its next run

  ledger_arn     = var.arns.ledger_table
  bronze_objects = "${var.arns.bronze_bucket}/bronze/*"

  read_history = {
    actions   = ["s3:GetObject"]
    resources = ["${var.arns.silver_bucket}/history/*"]
  }
  list_history = {
    actions   = ["s3:ListBucket"]
    resources = [var.arns.silver_bucket]
    condition = { StringLike = { "s3:prefix" = ["history/*"] } }
  }

  # What a role may do with a customer managed key, and only through the service that it calls.
  keys = {
    ledger = { keys = [var.kms_key_arn], services = ["dynamodb"], actions = ["kms:Decrypt"] }
    queue  = { keys = [var.kms_key_arn], services = ["sqs"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    copy   = { keys = [var.bronze_kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    read   = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt"] }
    write  = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }

  functions = {
    replay = {
      description = "Checks the ops workflow's input, and replays a chunk of objects by copying them."
      memory_mb   = 1024
      keys        = { UseKeyOfLedger = "ledger", UseKeyOfBronze = "copy", UseKeyOfSilver = "read" }
      statements = {
        ListBronze = {
          actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
          resources = [var.arns.bronze_bucket]
          condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
        }
        ReadOriginals = {
          actions   = ["s3:GetObject"]
          resources = [local.bronze_objects]
        }
        WriteCopies = {
          actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
          resources = ["${var.arns.bronze_bucket}/bronze/replay/*"]
        }
        AnnounceToIngest = {
          actions   = ["lambda:InvokeFunction"]
          resources = [var.ingest_function_arn]
        }
        ReadLedger = {
          actions   = ["dynamodb:BatchGetItem"]
          resources = [local.ledger_arn]
        }
        # What the ledger has lost and the history has, finished, is put back and not announced.
        PutBackIntoLedger = {
          actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
          resources = [local.ledger_arn]
        }
        ReadHistory = local.read_history
        ListHistory = local.list_history
      }
    }
    probe = {
      description = "Looks whether everything that was to be replayed is accounted for."
      memory_mb   = 512
      keys        = { UseKeyOfLedger = "ledger" }
      statements = {
        ListBronze = {
          actions   = ["s3:ListBucket"]
          resources = [var.arns.bronze_bucket]
          condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
        }
        ListSilver = {
          actions   = ["s3:ListBucket"]
          resources = [var.arns.silver_bucket]
          condition = { StringLike = { "s3:prefix" = ["silver/*"] } }
        }
        ReadLedger = {
          actions   = ["dynamodb:BatchGetItem"]
          resources = [local.ledger_arn]
        }
      }
    }
    sweep = {
      description = "Marks finished objects DONE, deletes the files that commits left over, ends rewrites that somebody left."
      memory_mb   = 1769
      keys        = { UseKeyOfLedger = "ledger", UseKeyOfSilver = "write" }
      statements = {
        TidySilver = {
          actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          resources = [for root in ["silver", "quarantine"] : "${var.arns.silver_bucket}/${root}/*"]
        }
        KeepLedger = {
          actions = [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
          ]
          resources = [local.ledger_arn]
        }
        # A file that does not exist is told from one that is forbidden, by S3 or else by a listing (modules/pipeline/main.tf).
        TellMissingFromForbidden = {
          actions   = ["s3:ListBucket"]
          resources = [var.arns.silver_bucket]
          condition = { StringLike = { "s3:prefix" = ["silver/*", "quarantine/*"] } }
        }
        ReadOpenWork = {
          actions   = ["dynamodb:Query"]
          resources = ["${local.ledger_arn}/index/open_work"]
        }
      }
    }
    archive = {
      description = "Writes what is finished into history, before it leaves the ledger."
      memory_mb   = 1769
      keys        = { UseKeyOfLedger = "ledger", UseKeyOfSilver = "write" }
      statements = {
        WriteHistory = {
          actions   = ["s3:GetObject", "s3:PutObject"]
          resources = ["${var.arns.silver_bucket}/history/*"]
        }
        # A file that does not exist is told from one that is forbidden.
        TellMissingFromForbidden = {
          actions   = ["s3:ListBucket"]
          resources = [var.arns.silver_bucket]
          condition = { StringLike = { "s3:prefix" = ["history/*"] } }
        }
        KeepLedger = {
          actions = [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
          ]
          resources = [local.ledger_arn]
        }
        ReadIndex = {
          actions   = ["dynamodb:Query"]
          resources = ["${local.ledger_arn}/index/open_work"]
        }
      }
    }
    reconcile = {
      description = "Finds objects that never became Silver, and sends just those again."
      memory_mb   = 1769
      keys        = { UseKeyOfLedger = "ledger", UseKeyOfQueue = "queue", UseKeyOfSilver = "read" }
      statements = {
        ListBronze = {
          actions   = ["s3:ListBucketVersions"]
          resources = [var.arns.bronze_bucket]
          condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
        }
        KeepLedger = {
          actions = [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
          ]
          resources = [local.ledger_arn]
        }
        ReadOpenWork = {
          actions   = ["dynamodb:Query"]
          resources = ["${local.ledger_arn}/index/open_work"]
        }
        SendUnits = {
          actions   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
          resources = [var.arns.queue]
        }
        # What the ledger has lost and the history has, finished, is put back and not loaded again.
        ReadHistory = local.read_history
        ListHistory = local.list_history
      }
    }
    rewrite = {
      description = "Takes an object's rows out of Silver, or judges refused rows again."
      memory_mb   = 1769
      keys        = { UseKeyOfLedger = "ledger", UseKeyOfBronze = "copy", UseKeyOfSilver = "write" }
      statements = {
        ReadBronze = {
          actions   = ["s3:GetObject", "s3:GetObjectVersion"]
          resources = [local.bronze_objects]
        }
        RewriteSilver = {
          actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          resources = [for root in ["silver", "quarantine"] : "${var.arns.silver_bucket}/${root}/*"]
        }
        ReadHistory = local.read_history
        # A file that is missing is told from one that is forbidden.
        ListSilver = {
          actions   = ["s3:ListBucket"]
          resources = [var.arns.silver_bucket]
          condition = { StringLike = { "s3:prefix" = ["history/*", "quarantine/*", "silver/*"] } }
        }
        # As for transform: modules/pipeline/main.tf.
        TellMissingFromForbidden = {
          actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
          resources = [var.arns.bronze_bucket]
          condition = { StringLike = { "s3:prefix" = ["bronze/*"] } }
        }
        KeepLedger = {
          actions = [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
          ]
          resources = [local.ledger_arn]
        }
      }
    }
  }
}

module "key_use" {
  source   = "../key_use"
  for_each = { for function, made in local.functions : function => made.keys }

  uses = { for sid, use in each.value : sid => local.keys[use] }
}

module "function" {
  source   = "../function"
  for_each = local.functions

  name                     = "${local.name}-${each.key}"
  description              = each.value.description
  image_uri                = var.image
  command                  = ["services.ops.app.${each.key}.handler"]
  architecture             = var.architecture
  memory_mb                = each.value.memory_mb
  timeout_seconds          = local.timeout_seconds
  reserved_concurrency     = lookup(var.reserved_concurrency, each.key, -1)
  tracing_enabled          = var.tracing_enabled
  log_retention_days       = var.log_retention_days
  application_log_level    = var.application_log_level
  system_log_level         = var.system_log_level
  iam_name_prefix          = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.tags
  role_tags                = var.restricted_tags

  environment = merge({
    BRONZE_BUCKET                = var.bronze_bucket
    SILVER_BUCKET                = var.silver_bucket
    LEDGER_TABLE                 = var.ledger_table
    INGEST_FUNCTION              = var.ingest_function
    QUEUE_URL                    = var.queue_url
    POWERTOOLS_METRICS_NAMESPACE = var.project
    POWERTOOLS_SERVICE_NAME      = "ops-${each.key}"
    POWERTOOLS_TRACE_DISABLED    = tostring(!var.tracing_enabled)
  }, var.environment)

  statements = merge(module.key_use[each.key].statements, each.value.statements)
}
