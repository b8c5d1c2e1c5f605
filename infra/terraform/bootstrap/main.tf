# What must be there before the pipeline: a repository for each function's image, and (if asked) a bucket for Terraform's
# own state. `make tf-bootstrap` and `make push-images` apply it; its state is a local file.

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
  region = var.region

  # Only an emulator needs the bucket's name in the path.
  s3_use_path_style = var.s3_path_style
}

module "registry" {
  source   = "../modules/registry"
  for_each = toset(["ingest", "transform"])

  name         = "${var.project}/${each.key}"
  keep_images  = var.keep_images
  force_delete = var.force_delete
  tags         = { project = var.project }
}

module "state" {
  source = "../modules/bucket"
  count  = var.state_bucket == "" ? 0 : 1

  name            = var.state_bucket
  noncurrent_days = 90
  tags            = { project = var.project }
}
