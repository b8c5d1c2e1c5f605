"""Pages to look at: self-contained HTML that needs neither JavaScript nor a network. Knows nothing of a pipeline."""
