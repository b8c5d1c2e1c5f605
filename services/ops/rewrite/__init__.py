"""Undoing and doing again: an object's rows leave the lake (retract), quarantined rows that pass now move (retry).

rewriting    one lot, from COMMITTED to COMMITTED, through files of its next generation
retraction   an object, lot by lot, until nothing of it is left
bronze       single rows read again, wherever in whatever object they are
quarantine   what is in quarantine, as the ledger's lots have it
retry        quarantined rows judged again
archive      what the ledger has already handed over to history comes back first
"""
