# A managed policy for the roles of people who query. It lets them read everything and denies that they change anything, also
# where another of their policies would let them: in a table of Iceberg, SQL can delete.

locals {
  limits       = jsondecode(file("${path.module}/../../names.json"))
  policy_name  = "${var.iam_name_prefix}${var.project}-analyst"
  read_roots   = ["history", "lake", "quarantine", "silver", "silver_compacted"]
  workgroup    = "${local.arn}:athena:${local.region}:${local.account}:workgroup/${var.project}"
  all_tables   = concat(local.catalog, ["${local.glue}:table/${local.database}/*"])
  results_arn  = "${local.arn}:s3:::${local.results_bucket}"
  query_tables = { for root in local.read_roots : root => "${var.silver_bucket_arn}/${root}/*" }

  analyst_statements = concat([
    {
      Sid    = "RunQueries"
      Effect = "Allow"
      Action = [
        "athena:BatchGetNamedQuery",
        "athena:BatchGetQueryExecution",
        "athena:GetNamedQuery",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:GetQueryResultsStream",
        "athena:GetQueryRuntimeStatistics",
        "athena:GetWorkGroup",
        "athena:ListNamedQueries",
        "athena:ListQueryExecutions",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
      ]
      Resource = [local.workgroup]
    },
    # What Athena's console and drivers list.
    {
      Sid      = "BrowseTables"
      Effect   = "Allow"
      Action   = ["athena:GetDataCatalog", "athena:GetDatabase", "athena:GetTableMetadata", "athena:ListDatabases", "athena:ListTableMetadata"]
      Resource = ["${local.arn}:athena:${local.region}:${local.account}:datacatalog/AwsDataCatalog"]
    },
    {
      Sid      = "NoResourcesToName"
      Effect   = "Allow"
      Action   = ["athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:ListWorkGroups"]
      Resource = ["*"]
    },
    # Athena looks the database `default` up, whether a query names it or not (Athena User Guide, "Configure access to databases and
    # tables in the AWS Glue Data Catalog").
    {
      Sid      = "FindDefaultDatabase"
      Effect   = "Allow"
      Action   = ["glue:GetDatabase", "glue:GetDatabases"]
      Resource = ["${local.glue}:catalog", "${local.glue}:database/default"]
    },
    {
      Sid      = "ReadCatalog"
      Effect   = "Allow"
      Action   = ["glue:BatchGetPartition", "glue:GetDatabase", "glue:GetDatabases", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
      Resource = local.all_tables
    },
    {
      Sid      = "ReadData"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = values(local.query_tables)
    },
    {
      Sid       = "ListData"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.silver_bucket_arn]
      Condition = { StringLike = { "s3:prefix" = [for root in local.read_roots : "${root}/*"] } }
    },
    {
      Sid      = "FindBuckets"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation"]
      Resource = [var.silver_bucket_arn, local.results_arn]
    },
    {
      Sid      = "KeepResults"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      Resource = ["${local.results_arn}/results/*"]
    },
    {
      Sid      = "ListResults"
      Effect   = "Allow"
      Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
      Resource = [local.results_arn]
    },
    {
      Sid      = "NeverChangeData"
      Effect   = "Deny"
      Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      Resource = ["${var.silver_bucket_arn}/*"]
    },
    {
      Sid    = "NeverChangeTables"
      Effect = "Deny"
      Action = [
        "glue:BatchCreatePartition",
        "glue:BatchDeletePartition",
        "glue:BatchDeleteTable",
        "glue:CreatePartition",
        "glue:CreateTable",
        "glue:DeleteDatabase",
        "glue:DeletePartition",
        "glue:DeleteTable",
        "glue:UpdateDatabase",
        "glue:UpdatePartition",
        "glue:UpdateTable",
      ]
      Resource = concat([local.catalog[1]], ["${local.glue}:table/${local.database}/*"])
    },
    ], [for sid, statement in module.key_use.statements : {
      Sid       = sid
      Effect    = "Allow"
      Action    = statement.actions
      Resource  = statement.resources
      Condition = statement.condition
  } if sid == "UseKey"])
}

# The crawler reads Silver; analysts write results, too.
module "key_use" {
  source = "../key_use"

  uses = {
    UseKeyOfSilver = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt"] }
    UseKey         = { keys = [var.kms_key_arn], services = ["s3"], actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }
}

resource "aws_iam_policy" "analyst" {
  count = var.analyst_policy_enabled ? 1 : 0

  name        = local.policy_name
  description = "For analysts of ${var.project}: query in the workgroup ${var.project}, change nothing. docs/data-guide.md"
  tags        = var.restricted_tags
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.analyst_statements })

  lifecycle {
    precondition {
      condition     = length(local.policy_name) <= local.limits.aws_iam_policy.max
      error_message = "The policy's name ${local.policy_name} is too long: IAM takes ${local.limits.aws_iam_policy.max} characters. Shorten iam_name_prefix or project."
    }
  }
}
