"""Data contracts: `model` holds what the rows of a dataset look like, `loader` reads it from ODCS v3 YAML."""
