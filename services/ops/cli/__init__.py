"""The `smelt` command line: one file for each group of commands. It prints; it decides nothing."""
