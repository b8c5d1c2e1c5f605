project = "smelt-local"
region  = "us-east-1"

observability_enabled = true
ops_enabled           = true
