# The least that deploys smelt from a root of your own: the platform, with every default. Its images are pushed first:
# `make push-images`.

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
  region              = "us-east-2"
  allowed_account_ids = ["123456789012"] # yours
}

module "platform" {
  source = "../../modules/platform"

  project  = "smelt-minimal"
  pipeline = { images = var.images }
}

variable "images" {
  description = "Function (ingest, transform) -> its image by digest, as `make push-images` writes them."
  type        = map(string)
}

output "pipeline" {
  description = "The names of what was created: buckets, queues, ledger, functions."
  value       = module.platform.pipeline
}
