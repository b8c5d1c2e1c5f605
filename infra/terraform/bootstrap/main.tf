# What must be there before the pipeline: a repository for each function's image. `make tf-bootstrap` and
# `make push-images` apply it; its state is a local file.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == "" ? null : [var.account_id]
}

locals {
  # As in modules/pipeline.
  own_tags = { for key, value in { project = var.project } : key => value if !contains([for given in keys(var.tags) : lower(given)], key) }

  project = jsondecode(file("${path.module}/../names.json")).project
}

module "registry" {
  source   = "../modules/registry"
  for_each = toset(flatten(values(jsondecode(file("${path.module}/../functions.json")))))

  name         = "${var.project}/${each.key}"
  force_delete = var.force_delete
  tags         = merge(local.own_tags, var.tags)
}
