"""The `smelt` program: the operators' commands and the workbench's. It prints; it decides nothing."""
