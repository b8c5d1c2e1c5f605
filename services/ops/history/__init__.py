"""The ledger over time: what is finished goes to Parquet files in S3, and only then may leave the table.

schema   the columns of both tables, in one place
rows     records as rows of these tables, and back
files    the history's files on S3
writer   the archive task: batches, marks, expiry
reader   the history as records, day by day; where a lot is; and the way back into the ledger
loads    what became of each file: ledger and history together, nothing twice
"""
