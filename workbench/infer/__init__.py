"""`smelt infer`: a first contract from a sample of rows, which the contract then accepts without exception."""
