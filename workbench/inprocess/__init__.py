"""The pipeline in one process: the ledger's table in memory, folders for buckets, the real planning and transform."""
