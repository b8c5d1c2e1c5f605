"""The audit: what became of every object, and whether ledger, Bronze, Silver and quarantine agree. Reads only.

    1  the ledger's scan               -> spool (records, as rows of a temporary SQLite file)
       the history's files             -> spool (what has left the ledger), the rest compared with it
    2  Silver's and quarantine's files -> compared with the spool, page by page
    3  Bronze's versions               -> compared with the spool, page by page
    4  suspects  (queries over the spool: what does not fit together)
    5  recheck   (each suspect is read again, from ledger and listing, before it is a finding)

Ledger and listings are read while traffic flows, so the spool is no snapshot: what it shows is only a suspicion. Step 5
decides, with consistent reads of few records at a time. Memory does not grow with the ledger.

audit      the steps, and the result
findings   the codes, and what to do about each
accounts   what became of an object: one word, and what to do next
past       what has left the ledger: the history, held against it and read in its place
scope      which objects are asked for
rules      what must hold for one lot     (pure)
spool, suspects, recheck                  as above
listings   what the audit asks of S3
open_work  the accounts of unfinished objects alone, from the index of open work
"""
