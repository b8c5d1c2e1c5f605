"""Compacting a partition: what is planned, where the job runs, and what came of it.

planning  the committed files of a partition, and the runs that there are of it
running   the job on this machine's Spark, or on AWS Glue
"""
