"""From one object to its units on the queue: for ingest, and for operators where S3's event was lost."""
