"""Dead letters of units, and S3 events that ingest failed on: looked at, explained, sent back to work, dropped.

looking   one look at a queue: nothing is seen twice, and what stays is visible again afterwards
letters   what a message of either queue is about
standing  what the ledger says of it now
redrive   back to work: send, then delete
moving    the same by SQS's own task, for a whole queue
dropping  deleting what has nothing left to do
"""
