"""The lake's tables: Apache Iceberg over the files that transform has written, committed rows only.

schema       a contract as a table's schema and partitions
catalog      where the tables are: Glue on AWS, SQLite here; makes and evolves them
store        the bucket's files, as far as tables need them
live         what a table has of some partitions now: files of lots, runs of compactions and what they stand for
committer    the one way to change a table: files out, files in, one snapshot, all of it checked against `live`
forgetting   snapshots that go, and the log that must not tell of their time
publish      from the ledger's marks to commits; backfill    from a listing of Silver to commits
compaction   the plan of a compaction, and its commit
check        whether the tables have what the ledger says; changes nothing
maintenance  what nothing needs any more: snapshots, metadata, runs; never Silver

Only this package imports PyIceberg, and only the image of the operators' functions has it.
"""
