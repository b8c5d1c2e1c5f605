"""Silver's and quarantine's files: their Arrow schemas and the one way to encode them. Needs Arrow; knows no S3.

tables    judged rows as Arrow tables
schema    what a Parquet file says about its columns
files     a table into the bytes of Parquet files
encode    the tables of a lot into files with their keys
"""
