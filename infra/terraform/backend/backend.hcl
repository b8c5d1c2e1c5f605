# Where Terraform keeps its state when `make tf-init TF_BACKEND=s3` is used; without it the state is a local file.
# Bucket names are unique in all of AWS: create a bucket of your own with `make tf-bootstrap STATE_BUCKET=<name>`, write its
# name and its region here and commit it. `key` is added per environment.
bucket       = ""
region       = "us-east-2"
encrypt      = true
use_lockfile = true
