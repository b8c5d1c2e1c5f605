"""What tests share. Nothing here replaces the code under test: rows, Parquet, protocol and ledger are the real ones."""
