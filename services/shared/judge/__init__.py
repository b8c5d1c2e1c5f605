"""The reference judge of rows: exact and unhurried, pure Python. Everything that judges rows must agree with it."""
