# For those who want tables by a crawler: one for each dataset, beside ours, with the columns that the files have. It runs when
# somebody starts it (`make glue-crawler-start`) and may write tables with its own prefix only.

locals {
  crawler = "${var.project}-silver"
  top     = split("/", var.silver_prefix)[0]

  crawler_tables = "${local.glue}:table/${local.database}/${var.table_prefix}*"
  catalog        = ["${local.glue}:catalog", "${local.glue}:database/${local.database}"]
}

module "crawler_role" {
  source = "../role"

  name                     = "${var.project}-crawler"
  description              = "What the crawler ${local.crawler} may do: read Silver, write its own tables."
  service                  = "glue.amazonaws.com"
  from_this_account_only   = false # nothing says that Glue sends aws:SourceAccount; IAM passes no role to another account
  name_prefix              = var.iam_name_prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.restricted_tags

  statements = merge({
    ReadSilver = {
      actions   = ["s3:GetObject"]
      resources = ["${var.silver_bucket_arn}/${var.silver_prefix}*"]
    }
    ListSilver = {
      actions   = ["s3:ListBucket"]
      resources = [var.silver_bucket_arn]
      condition = { StringLike = { "s3:prefix" = [local.top, "${local.top}/", "${var.silver_prefix}*"] } }
    }
    FindSilver = {
      actions   = ["s3:GetBucketLocation"]
      resources = [var.silver_bucket_arn]
    }
    ReadCatalog = {
      actions   = ["glue:GetDatabase", "glue:GetTables"]
      resources = concat(local.catalog, ["${local.glue}:table/${local.database}/*"])
    }
    WriteOwnTables = {
      actions = [
        "glue:BatchCreatePartition",
        "glue:BatchDeletePartition",
        "glue:BatchGetPartition",
        "glue:BatchUpdatePartition",
        "glue:CreatePartition",
        "glue:CreateTable",
        "glue:DeletePartition",
        "glue:DeleteTable",
        "glue:GetPartition",
        "glue:GetPartitions",
        "glue:GetTable",
        "glue:UpdatePartition",
        "glue:UpdateTable",
      ]
      resources = concat(local.catalog, [local.crawler_tables])
    }
    WriteLogs = {
      actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${local.arn}:logs:${local.region}:${local.account}:log-group:/aws-glue/crawlers*"]
    }
  }, { for sid, statement in module.key_use.statements : sid => statement if sid == "UseKeyOfSilver" })
}

resource "aws_glue_crawler" "silver" {
  # checkov:skip=CKV_AWS_195: its logs name folders, never rows; a security configuration would encrypt nothing else here
  name          = local.crawler
  description   = "Tables ${var.table_prefix}<dataset> over ${var.silver_prefix}, when somebody starts it."
  database_name = aws_glue_catalog_database.this.name
  role          = module.crawler_role.name
  table_prefix  = var.table_prefix
  tags          = var.tags

  s3_target {
    path = "${local.root}/${var.silver_prefix}"
  }

  # A folder below the top one is a table, whatever its files have in common with others; partitions have the table's columns.
  configuration = jsonencode({
    Version       = 1
    Grouping      = { TableLevelConfiguration = 3 }
    CrawlerOutput = { Partitions = { AddOrUpdateBehavior = "InheritFromTable" } }
  })

  schema_change_policy {
    update_behavior = "UPDATE_IN_DATABASE"
    delete_behavior = "LOG"
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }

  lineage_configuration {
    crawler_lineage_settings = "DISABLE"
  }

  depends_on = [module.crawler_role]
}
