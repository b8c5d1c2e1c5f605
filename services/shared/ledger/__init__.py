"""The ledger: the DynamoDB table that knows what has been done with every object, unit and lot.

records   what it holds, as plain values, and what its transitions raise     (core: no AWS client)
items     the same as DynamoDB items and back                                (core: no AWS client)
table     the table: reads, conditional writes, answers that were lost
objects, units, lots     the transitions, each one conditional write
rewrites, releases       those that undo and do again: a lot's rows, an object
marks                    what a commit tells those who follow it, in the same transaction
ledger    all of them over one table, and the look-ups that need several
"""
