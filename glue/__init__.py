"""The jobs that run on AWS Glue 5.1, or on plain Spark. Thin: what they share with the services is the core."""
