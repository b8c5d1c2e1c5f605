"""`smelt query`: Athena's SQL over Silver and quarantine on disk."""
