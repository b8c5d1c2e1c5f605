"""The quality gate around its job: plans, results, pages, markers, and the events that start it. No Spark."""
