"""Replay: what of a prefix and a time window is not loaded, and bringing it to its end. docs/replay.md is the page.

planning   which objects are meant, and what the ledger says of each      (reads only)
copying    copies under bronze/replay/, which ask ingest to finish their origins
running    both ways, many objects in flight, from a place to a deadline
"""
