# Where Terraform keeps its state when `make tf-init TF_BACKEND=s3` is used; without it the state is a local file.
# The bucket must exist: `make tf-bootstrap STATE_BUCKET=<name>` creates one. `key` is added per environment.
bucket       = "smelt-terraform-state"
region       = "us-east-2"
encrypt      = true
use_lockfile = true
